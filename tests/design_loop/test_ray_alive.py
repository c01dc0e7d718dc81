"""Without a Ray of this process there is nothing that can have died."""

from __future__ import annotations

from design_loop.ray_alive import check_ray, dead_parts


def test_without_ray_nothing_is_dead() -> None:
    assert dead_parts() == []
    check_ray(ValueError("no Ray at all"))
