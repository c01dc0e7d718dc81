"""One campaign of several that want the same oracle calls; run by test_ledger_claims.py.

Usage: claim_worker.py LEDGER CAMPAIGN LOG SECONDS
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from design_loop.ledger import Ledger


def main() -> None:
    """Compute what is free until every selected candidate has its label."""
    target, campaign, log, seconds = sys.argv[1], sys.argv[2], Path(sys.argv[3]), sys.argv[4]
    with Ledger(target, create=False) as ledger, ledger.lease(campaign, ttl_s=600):
        while True:
            ledger.reuse_labels(campaign, 1)
            pending = ledger.pending_oracle(campaign, 1)
            if not pending:
                return
            # Two at a time, so that several campaigns have something to do.
            taken = set(ledger.call_holders([c.oracle_key for c in pending]))
            free = [c.oracle_key for c in pending if c.oracle_key not in taken]
            mine = ledger.claim_calls(campaign, free[:2])
            for call in pending:
                if call.oracle_key in mine:
                    with log.open("a") as file:
                        file.write(f"{call.oracle_key} {campaign}\n")
                    time.sleep(float(seconds))
                    value = {"gap": float(call.oracle_key.rpartition("-")[2])}
                    ledger.record_label(campaign, 1, call.candidate, call.oracle_key, value)
            time.sleep(0.02)


if __name__ == "__main__":
    main()
