"""What a federation is told before it starts."""

import math
from typing import Any

import msgspec
import pytest

from qorum.config import EVIDENCE_KINDS, RANGES, FederationConfig
from qorum.errors import ConfigError, QorumError


def test_the_founding_names_and_defaults() -> None:
    config = FederationConfig()
    assert config.sync_interval_ms == 60_000
    assert config.sync_after_interactions == 10
    assert config.min_peers_for_consensus == 3
    assert config.byzantine_threshold == 0.33
    assert config.gossip_fanout == 3
    assert (config.alpha, config.gamma, config.evidence) == (0.1, 0.95, "replay")


def test_every_number_has_a_range_and_its_default_is_in_it() -> None:
    assert set(RANGES) == set(FederationConfig.__struct_fields__) - {"evidence"}


@pytest.mark.parametrize("field", RANGES)
def test_both_ends_are_allowed_and_beyond_is_an_error_that_names_all(field: str) -> None:
    low, high = RANGES[field]
    together = {"r_min": "r_max", "r_max": "r_min"}
    for end in (low, high):
        fields: dict[str, Any] = {field: end}
        if field in together:
            fields[together[field]] = end
        assert getattr(FederationConfig(**fields), field) == end
    step = 1 if isinstance(low, int) else max(1e-9, abs(high) * 1e-9)
    for beyond in (low - step, high + step, 10**400, -(10**400)):
        with pytest.raises(ConfigError) as caught:
            FederationConfig(**{field: beyond})
        message = str(caught.value)
        assert message.startswith(f"{field} is {beyond!r}")
        assert f"from {low:.10g} to {high:.10g}" in message


def test_large_limits_are_shown_to_the_last_digit() -> None:
    with pytest.raises(ConfigError, match=r"from 1 to 8388607$"):
        FederationConfig(visit_budget_initial=2**23)


@pytest.mark.parametrize("field", RANGES)
@pytest.mark.parametrize("bad", [math.nan, math.inf, "3", None, True, [3]])
def test_what_is_not_a_number_is_refused(field: str, bad: object) -> None:
    with pytest.raises(ConfigError, match=f"^{field} is "):
        FederationConfig(**{field: bad})


@pytest.mark.parametrize("field", [field for field, (low, _) in RANGES.items() if isinstance(low, int)])
def test_counts_are_whole_numbers(field: str) -> None:
    with pytest.raises(ConfigError, match="a whole number from"):
        FederationConfig(**{field: RANGES[field][0] + 0.5})


@pytest.mark.parametrize("threshold", [0, 0.0, 0.1, 0.33, 1 / 3])
def test_up_to_a_third_may_lie(threshold: float) -> None:
    assert FederationConfig(byzantine_threshold=threshold).byzantine_threshold == threshold


@pytest.mark.parametrize("threshold", [0.34, 0.5, 1, -0.01])
def test_more_than_a_third_may_not(threshold: float) -> None:
    with pytest.raises(ConfigError, match=r"byzantine_threshold is .*; allowed: a number from 0 to 0.3333333333$"):
        FederationConfig(byzantine_threshold=threshold)


@pytest.mark.parametrize("kind", EVIDENCE_KINDS)
def test_kinds_of_evidence(kind: Any) -> None:
    assert FederationConfig(evidence=kind).evidence == kind


@pytest.mark.parametrize("kind", ["median", None, ["q"]])
def test_another_kind_is_refused(kind: Any) -> None:
    with pytest.raises(ConfigError, match=r"evidence is .*; choose one of replay, implied, q"):
        FederationConfig(evidence=kind)


def test_rewards_must_have_a_range() -> None:
    with pytest.raises(ConfigError, match=r"r_min is 2\.0, above r_max 1\.0; allowed: r_min <= r_max"):
        FederationConfig(r_min=2.0, r_max=1.0)


def test_a_configuration_from_others_and_keywords() -> None:
    assert FederationConfig.of() == FederationConfig.of(None) == FederationConfig.of({}) == FederationConfig()
    some = FederationConfig.of({"gamma": 0.9, "alpha": 0.2}, alpha=0.3)
    assert (some.gamma, some.alpha) == (0.9, 0.3)
    more = FederationConfig.of(some, gossip_fanout=5)
    assert (more.gamma, more.alpha, more.gossip_fanout) == (0.9, 0.3, 5)
    assert some.gossip_fanout == 3


@pytest.mark.parametrize("fields", [{"gama": 0.9}, {"gama": 0.9, "n_actions": 3}, {7: 1, "gama": 0.9}])
def test_an_unknown_field_is_named_with_its_value(fields: dict[Any, Any]) -> None:
    with pytest.raises(ConfigError, match=r"unknown field (gama = 0.9|7 = 1); the fields are: sync_interval_ms,"):
        FederationConfig.of(fields)


@pytest.mark.parametrize("given", [5, "gamma", [1, 2]])
def test_what_is_not_a_mapping_is_refused(given: Any) -> None:
    with pytest.raises(ConfigError, match="is not a configuration"):
        FederationConfig.of(given)


def test_out_of_range_fields_are_refused_when_decoded_too() -> None:
    encoded = msgspec.json.encode(FederationConfig(gamma=0.5))
    assert msgspec.json.decode(encoded, type=FederationConfig) == FederationConfig(gamma=0.5)
    with pytest.raises(msgspec.ValidationError, match=r"gamma is 2\.0; allowed: a number from 0 to 0\.9999"):
        msgspec.json.decode(b'{"gamma": 2.0}', type=FederationConfig)


def test_errors_can_be_caught_as_ours_or_as_value_errors() -> None:
    assert issubclass(ConfigError, QorumError)
    assert issubclass(ConfigError, ValueError)


def test_a_configuration_does_not_change() -> None:
    with pytest.raises(AttributeError):
        FederationConfig().gamma = 0.5  # type: ignore[misc]
