"""The ring's own budget."""

from __future__ import annotations

from pathlib import Path

import pytest

from anonfilter import memory


def test_a_container_s_limit_counts_and_there_is_a_least(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.sysconf", lambda name: {"SC_PAGE_SIZE": 4096, "SC_PHYS_PAGES": 4 << 20}[name])
    for text, budget in (("max\n", 4 << 30), (f"{8 << 30}\n", 2 << 30), (f"{1 << 30}", 1 << 29)):
        monkeypatch.setattr(Path, "read_text", lambda *_, text=text, **__: text)
        assert memory.ring_budget() == budget
