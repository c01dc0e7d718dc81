"""Oracle calls of a campaign until each has a label or is given up, whatever happens to them.

One call is computed once: what another campaign of the ledger finished is taken over, what another
one computes now is waited for, the rest is claimed. Every failed try is a row of the ledger, so a
driver that takes over goes on counting. A call whose tries are used up, or which no further try can
mend, goes into quarantine; the campaign goes on without it.

The pristine energy that formation energies need is such a call, too, but nobody's candidate: no
budget counts it, and where it cannot be computed nothing can.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

from defects.configuration import Configuration
from defects.oracles import OracleSpec, oracle_key
from design_loop.campaign.context import Context
from design_loop.ledger import PendingCall
from design_loop.oracle_calls import LabelResult, PoolLimits
from design_loop.oracle_pool import compute_pristine, needs_pristine

if TYPE_CHECKING:
    from design_loop.config.oracle import OracleCall

#: How often to look whether another campaign has finished a call, s.
_POLL_S = 2.0


class CallBook(Protocol):
    """Where some calls of a campaign are written down."""

    def pending(self) -> list[PendingCall]:
        """Calls without a label that have not been given up, the best first."""

    def reuse(self) -> list[str]:
        """Take over results that the ledger knows already; the candidates that got one."""

    def keep(self, call: PendingCall, result: LabelResult) -> None:
        """Commit a label."""

    def fail(self, call: PendingCall, result: LabelResult, final: bool) -> None:
        """Commit a failed try; the last one if `final`."""


@dataclass
class Settled:
    """What became of a set of calls.

    Attributes
    ----------
    labelled, reused, failed
        Computed here, taken over from elsewhere, given up.
    """

    labelled: int = 0
    reused: int = 0
    failed: int = 0


def settle_calls(
    context: Context,
    book: CallBook,
    oracle: OracleSpec,
    settings: OracleCall,
    limits: PoolLimits | None = None,
) -> Settled:
    """Have calls labelled, each committed as it arrives, until none is pending.

    Parameters
    ----------
    context
        Its services compute; its ledger holds the lease that claims live by.
    book
        The calls.
    oracle
        Of all of them.
    settings
        Tries, timeout and resources of a call.
    limits
        As far as they do not follow from `settings`.

    Returns
    -------
    Settled

    Raises
    ------
    Suspended
        Somebody wants the campaign to halt; calls in flight were finished, the others are pending.
    DesignLoopError
        The oracle as a whole cannot work, or the ledger cannot be written.
    """
    limits = replace(limits or pool_limits(context, settings), stop=context.control.asked)
    settled, waited_for = Settled(), ""
    while True:
        context.control.check()
        settled.reused += len(book.reuse())
        calls = book.pending()
        for call in (c for c in calls if c.quarantined is not None):
            _give_up(context, book, call)
            settled.failed += 1
        open_calls = [c for c in calls if c.quarantined is None]
        if not open_calls:
            return settled
        mine = context.ledger.claim_calls(context.id, [c.oracle_key for c in open_calls])
        # Two candidates never share a key, but a claim is for one call only if they ever do.
        batch = list({c.oracle_key: c for c in open_calls if c.oracle_key in mine}.values())
        if not batch:
            waited_for = _wait(context, [c.oracle_key for c in open_calls], waited_for)
            continue
        try:
            oracle = _with_pristine(context, oracle, limits)
            _compute(context, book, oracle, settings, limits, batch, settled)
        finally:
            context.ledger.release_calls(context.id)


def pool_limits(context: Context, settings: OracleCall) -> PoolLimits:
    """Resources of a call, and one try at a time: the ledger counts them, not the pool."""
    return PoolLimits(
        max_in_flight=context.config.resources.oracle_parallel,
        cpus_per_call=settings.cpus_per_call,
        gpus_per_call=settings.gpus_per_call,
        memory_gib=settings.memory_per_call,
        custom_resources=settings.custom_resources,
        environment=settings.environment,
        timeout_s=settings.timeout_s,
        retries=0,
    )


def _with_pristine(context: Context, oracle: OracleSpec, limits: PoolLimits) -> OracleSpec:
    """The same oracle, knowing the pristine energy where it needs it; computed once per ledger."""
    host, ledger, waited_for = context.host, context.ledger, ""
    if not needs_pristine(oracle, host):
        return oracle
    pristine = Configuration(host, ())
    # Known energies are no part of the key: the candidates' keys stay what they were.
    key = oracle_key(pristine, oracle.build())
    found = ledger.get_oracle_result(key)
    if found is None:
        ledger.ask_call(context.id, key, oracle.to_dict(), pristine.to_dict())
    while found is None:
        context.control.check()
        if ledger.claim_calls(context.id, [key]):
            result = compute_pristine(oracle, host, limits, context.services.label)
            assert result.labels is not None
            found = ledger.record_result(
                context.id, key, result.labels, result.seconds, details=result.details
            )
        else:
            waited_for = _wait(context, [key], waited_for)
            found = ledger.get_oracle_result(key)
    return oracle.with_pristine(host.key, found["energy"])


def _compute(
    context: Context,
    book: CallBook,
    oracle: OracleSpec,
    settings: OracleCall,
    limits: PoolLimits,
    batch: Sequence[PendingCall],
    settled: Settled,
) -> None:
    """One try of every call of a batch, or of the first ones if somebody wants a halt."""
    answered = 0

    def advance() -> None:
        nonlocal answered
        answered += 1
        context.progress.step_advanced(answered, len(batch))

    def failed(result: LabelResult) -> None:
        call = batch[result.index]
        tries = call.tries + result.tries
        final = result.permanent or tries > settings.retries
        book.fail(call, replace(result, tries=tries), final)
        what = "given up" if final else "to be tried again"
        context.progress.message(
            "warning", f"oracle: {call.candidate}: {result.error_type}: {result.error} ({what})"
        )
        settled.failed += final
        advance()

    def labelled(result: LabelResult) -> None:
        reason = unusable(result.labels or {})
        if reason:
            error = replace(
                result, labels=None, error=reason, error_type="NotFinite", permanent=True
            )
            failed(error)
            return
        book.keep(batch[result.index], result)
        settled.labelled += 1
        advance()

    context.progress.step_advanced(0, len(batch))
    configurations = [context.configuration(call.configuration) for call in batch]
    context.services.label(oracle, configurations, labelled, failed, limits)


def unusable(labels: Mapping[str, float]) -> str:
    """Why these values are no label; empty where they are one."""
    bad = [name for name, value in labels.items() if not math.isfinite(value)]
    if bad:
        return f"{', '.join(bad)} is no finite number"
    return "" if labels else "the oracle gave no values"


def _give_up(context: Context, book: CallBook, call: PendingCall) -> None:
    """Another round or campaign found out that this call cannot be computed."""
    configuration = context.configuration(call.configuration)
    error = f"not tried: it failed {call.tries} times before ({call.quarantined})"
    result = LabelResult(0, configuration, None, error, "Quarantined", tries=call.tries)
    book.fail(call, result, True)
    context.progress.message(
        "warning",
        f"oracle: {call.candidate}: {error}; `campaign doctor {context.id} --retry-quarantined` "
        "lets it be tried anew",
    )


def _wait(context: Context, keys: Sequence[str], told: str) -> str:
    """Sleep while others compute what is left; returns what was last said of it."""
    busy = context.ledger.call_holders(keys)
    names = ", ".join(sorted(set(busy.values())))
    text = f"waiting for {len(busy)} oracle calls that are being computed by {names}"
    if busy and text != told:
        context.progress.message("info", text)
        told = text
    # What nobody holds was given back this very moment; look again at once.
    time.sleep(_POLL_S if busy else 0.05)
    return told
