"""What docs/serving.md says of settings, requests and the client, against the code."""

from __future__ import annotations

import ast
import inspect
import json
import re
from pathlib import Path

import yaml
from pydantic import BaseModel

from design_loop.client import Client
from design_loop.server.admission import admit
from design_loop.server.schemas import ExtendBody
from design_loop.server.settings import SECTION, CampaignsSettings, load_server
from serve.config import Autoscaling, EngineConfig, Limits, LoraSettings, ServeConfig
from serve.constraints import MAX_SITES
from serve.design_schemas import DesignBody
from serve.hosts import MAX_CELLS
from serve.schemas import ChatBody, CompletionBody, PredictBody
from serve.structures import CifStructure

TEXT = (Path(__file__).parents[3] / "docs" / "serving.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)


def test_the_configurations_shown_are_ones(tmp_path):
    shown = {}
    for block in BLOCKS:
        shown |= yaml.safe_load(block)
    file = tmp_path / "serve.yaml"
    file.write_text(yaml.safe_dump(shown))
    settings = load_server(file)
    assert settings.serve.autoscaling.max_replicas == 4
    assert settings.campaigns.max_running == 1


def test_every_setting_is_named():
    schemas: tuple[type[BaseModel], ...] = (
        ServeConfig, EngineConfig, LoraSettings, Autoscaling, Limits, CampaignsSettings,
    )  # fmt: skip
    missing = {
        f"{schema.__name__}.{name}"
        for schema in schemas
        for name in schema.model_fields
        if not re.search(rf"\b{name}\b", TEXT)
    }
    assert missing == set()


def test_limits_are_shown_with_their_defaults():
    shown = {}
    for block in BLOCKS:
        shown |= yaml.safe_load(block)
    assert Limits(**shown["limits"]) == Limits()
    assert LoraSettings(**shown["lora"]) == LoraSettings()
    named = CampaignsSettings(**shown[SECTION])
    for name in ("max_running", "max_rounds", "max_samples", "max_budget", "max_download_bytes"):
        assert getattr(named, name) == getattr(CampaignsSettings(), name)


def test_fixed_bounds_are_the_schemas():
    def most(schema, field):
        facts = schema.model_json_schema()["properties"][field]
        return facts.get("maximum", facts.get("maxItems", facts.get("maxLength")))

    text = " ".join(TEXT.split())
    for words in (
        f"at most {most(DesignBody, 'count'):,} candidates, {most(DesignBody, 'targets')} targets",
        f"{most(DesignBody, 'known'):,} `known` configurations",
        f"an `n` of {most(CompletionBody, 'n'):,} and {most(CompletionBody, 'max_tokens'):,}",
        f"a CIF file {most(CifStructure, 'cif'):,} characters",
        f"a supercell {MAX_CELLS:,} cells, and {MAX_SITES:,} sites",
    ):
        assert words in text


def _shell():
    """Every command with curl in the text: (path below the address, JSON that it sends)."""
    shown = [
        command
        for block in re.findall(r"```sh\n(.*?)```", TEXT, re.DOTALL)
        for command in re.split(r"^(?=curl|jq)", block, flags=re.MULTILINE)
        if "curl" in command
    ]
    for command in shown:
        path = re.search(r"(?:http://127.0.0.1:8000|\$URL)(\S*?)[?\"\s]", command)[1]
        if "$URL" in command:
            path = "/v1/campaigns" + path
        sent = re.search(r"-d '(\{.*?\})'", command, re.DOTALL)
        yield path, json.loads(sent[1]) if sent else None


def test_the_commands_shown_are_requests_that_are_taken():
    taken = {
        "/v1/completions": CompletionBody.model_validate,
        "/v1/chat/completions": ChatBody.model_validate,
        "/v1/design": DesignBody.model_validate,
        "/v1/predict": PredictBody.model_validate,
        "/v1/campaigns": lambda body: admit(body, CampaignsSettings()),
        "/v1/campaigns/ID/extend": ExtendBody.model_validate,
    }
    sent = {path: body for path, body in _shell() if body is not None}
    assert set(sent) == set(taken)
    for path, body in sent.items():
        taken[path](body)


def test_routes_shown_are_the_servers(client):
    there = set(client.get("/openapi.json").json()["paths"])
    shown = {path.replace("/ID", "/{campaign}") for path, _ in _shell()}
    assert shown <= there
    for path in there:
        word = path.rpartition("/")[2] if "{" in path else path
        assert word == "{campaign}" or re.search(rf"{re.escape(word)}\b", TEXT), path


def test_calls_of_the_client_shown_fit_it():
    calls = [
        node
        for block in re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
        for node in ast.walk(ast.parse(block))
        if isinstance(node, ast.Call) and ast.unparse(node.func).startswith("client.")
    ]
    shown = {ast.unparse(call.func) for call in calls}
    assert shown >= {"client.models", "client.complete", "client.chat", "client.design"}
    for call in calls:
        method = getattr(Client, ast.unparse(call.func).removeprefix("client."))
        given = {keyword.arg: None for keyword in call.keywords}
        inspect.signature(method).bind(None, *call.args, **given)
