"""Keeps trained embeddings: one per host, vocabulary and settings, for all folds and properties."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import tempfile
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path

from defects.encodings.sparse import SparseEncoder
from defects.errors import ModelError
from defects.hosts import Host
from defects.surrogates.embedding_network import EmbeddingNetwork
from training.contrastive import ContrastiveSettings, pretrain_embedding

logger = logging.getLogger(__name__)

#: Names the folder that is kept between runs; ~/.cache/design-loop where it is not set.
VARIABLE = "DESIGN_LOOP_CACHE"


def cache_folder() -> Path:
    """Folder of trained embeddings."""
    named = os.environ.get(VARIABLE)
    return (Path(named) if named else Path.home() / ".cache" / "design-loop") / "embeddings"


@lru_cache(maxsize=4)
def pretrained_embedding(
    host: Host,
    defects: tuple[str, ...],
    max_defects: int,
    settings: ContrastiveSettings,
    threads: int = 1,
) -> EmbeddingNetwork:
    """A trained embedding, from this process, from the cache folder, or trained now.

    Nothing is lost without the folder but time: one that cannot be written is only warned of, and
    a damaged file in it is replaced.

    Raises
    ------
    ModelError
        When torch is needed and not installed.
    """
    path = cache_folder() / f"{_name(host, defects, max_defects, settings)}.safetensors"
    if path.is_file():
        try:
            return EmbeddingNetwork.load(path, SparseEncoder(host, defects))
        except ModelError as error:
            logger.warning("%s; it is trained again", error)
    network = pretrain_embedding(host, defects, max_defects, settings, threads)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent) as work:
            network.save(Path(work) / path.name)
            (Path(work) / path.name).replace(path)
    except OSError as error:
        logger.warning("the embedding is not kept in %s: %s", path.parent, error)
    return network


def _name(
    host: Host, defects: tuple[str, ...], max_defects: int, settings: ContrastiveSettings
) -> str:
    content = json.dumps([1, host.key, defects, max_defects, asdict(settings)])
    return hashlib.sha256(content.encode()).hexdigest()[:32]
