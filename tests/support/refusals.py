"""One wrong object for each rule and bound: what the API server must refuse, and `brownout validate` in the same words."""

from typing import Any, NamedTuple

from support.examples import ABSENT, changed, example

SCALER, POLICY, TIER = ("InferenceScaler", "image-xl"), ("FeaturePolicy", "image-generation"), ("UserTier", "free")
POOL, OVERRIDE = ("GPUPool", "h100"), ("FeatureOverride", "incident-4711")


class Refusal(NamedTuple):
    """A change that makes an example wrong, and the server's sentence; `offline` is that of `validate`, where it knows more."""

    title: str
    of: tuple[str, str]
    changes: dict[str, Any]
    message: str
    offline: str = ""

    @property
    def body(self) -> dict[str, Any]:
        return changed(example(*self.of), self.changes)


RULES = (
    Refusal(
        "a_pool_without_capacity",
        POOL,
        {"spec.capacity": {"quotas": []}},
        "capacity names no source of GPUs; write at least one of nodes, quotas or gpus",
    ),
    Refusal(
        "a_quota_twice",
        POOL,
        {"spec.capacity.quotas[1]": {"namespace": "media", "name": "gpu-quota"}},
        "a quota is listed twice; list each quota once",
    ),
    Refusal(
        "a_selector_in_nothing",
        POOL,
        {"spec.namespaceSelector": {"matchExpressions": [{"key": "a", "operator": "In"}]}},
        "In and NotIn need values; write values: [h100]",
    ),
    Refusal(
        "a_selector_exists_with_values",
        POOL,
        {"spec.namespaceSelector": {"matchExpressions": [{"key": "a", "operator": "Exists", "values": ["b"]}]}},
        "Exists and DoesNotExist take no values; remove them, or write operator: In",
    ),
    Refusal(
        "minimum_above_maximum",
        SCALER,
        {"spec.minReplicas": 41},
        "minReplicas is above maxReplicas; write minReplicas <= maxReplicas",
    ),
    Refusal(
        "minimum_above_the_default_maximum",
        ("InferenceScaler", "image-small"),
        {"spec.minReplicas": 11},
        "minReplicas is above maxReplicas; write minReplicas <= maxReplicas",
    ),
    Refusal(
        "fallback_above_maximum",
        SCALER,
        {"spec.stale.fallbackReplicas": 41},
        "stale.fallbackReplicas is above maxReplicas; write fallbackReplicas <= maxReplicas",
    ),
    Refusal(
        "fallback_before_stale",
        SCALER,
        {"spec.stale.fallbackAfterSeconds": 59},
        "fallbackAfterSeconds is shorter than afterSeconds; write one that is at least as long",
    ),
    Refusal(
        "fallback_before_the_default_stale",
        ("InferenceScaler", "image-small"),
        {"spec.stale.fallbackAfterSeconds": 59},
        "fallbackAfterSeconds is shorter than afterSeconds; write one that is at least as long",
    ),
    Refusal(
        "given_up_before_expected",
        SCALER,
        {"spec.coldStart.giveUpAfterSeconds": 60},
        "giveUpAfterSeconds is shorter than expectedSeconds; write one that is at least as long",
    ),
    Refusal(
        "a_metric_name_twice", SCALER, {"spec.metrics[1].name": "busy"}, "two metrics share a name; give each its own"
    ),
    Refusal(
        "a_metric_without_a_source",
        SCALER,
        {"spec.metrics[0].query": ABSENT},
        "a metric has either query or engine; write exactly one of them",
    ),
    Refusal(
        "a_metric_with_two_sources",
        SCALER,
        {"spec.metrics[0].engine": {"pack": "vllm", "signal": "running"}},
        "a metric has either query or engine; write exactly one of them",
    ),
    Refusal(
        "a_load_without_target",
        SCALER,
        {"spec.metrics[0].target": ABSENT},
        "a Load or Objective metric needs a target; write target: {type: AverageValue, value: 700m}",
    ),
    Refusal(
        "a_backlog_with_target",
        SCALER,
        {"spec.metrics[1].target": {"value": 5}},
        "a Backlog or Busy metric has no target; remove it (queue.drainSeconds says how fast a backlog goes)",
    ),
    Refusal(
        "an_objective_for_each_replica",
        SCALER,
        {"spec.metrics[2].target": {"value": "8"}},
        "an Objective is compared as it is, not per replica; write target: {type: Value, value: ...}",
    ),
    Refusal(
        "a_target_of_zero",
        SCALER,
        {"spec.metrics[0].target.value": 0},
        "a target of 0 can never be met; write a value above 0, such as 700m",
    ),
    Refusal(
        "a_target_of_zero_in_words",
        SCALER,
        {"spec.metrics[0].target.value": "0.0m"},
        "a target of 0 can never be met; write a value above 0, such as 700m",
    ),
    Refusal(
        "in_without_values",
        TIER,
        {"spec.match": [{"key": "plan", "operator": "In"}]},
        "In and NotIn need values; write values: [free]",
    ),
    Refusal(
        "exists_with_values",
        TIER,
        {"spec.match": [{"key": "plan", "operator": "Exists", "values": ["free"]}]},
        "values are for In and NotIn; remove them, or write operator: In",
    ),
    Refusal(
        "a_test_of_what_evaluators_add",
        TIER,
        {"spec.match": [{"key": "$flagd.timestamp", "operator": "Exists"}]},
        "$flagd is what evaluators add to a context; write an attribute of the user, such as key: plan",
    ),
    Refusal(
        "younger_than_nothing",
        TIER,
        {"spec.cohorts[0].match[0].seconds": ABSENT},
        "YoungerThan and OlderThan need seconds; write seconds: 604800 for a week",
    ),
    Refusal(
        "in_with_seconds",
        TIER,
        {"spec.match": [{"key": "plan", "operator": "In", "values": ["free"], "seconds": 5}]},
        "seconds is for YoungerThan and OlderThan; remove it, or write operator: YoungerThan",
    ),
    Refusal(
        "a_cohort_name_twice",
        TIER,
        {"spec.cohorts[1]": {"name": "new-accounts", "match": [{"key": "a", "operator": "Exists"}]}},
        "two cohorts share a name; give each its own",
    ),
    Refusal(
        "a_variant_name_twice",
        POLICY,
        {"spec.variants[1].name": "full", "spec.tiers[1].lowest": "full"},
        "two variants share a name; give each its own",
    ),
    Refusal(
        "a_denial_that_costs",
        POLICY,
        {"spec.variants[2].costs": [{"scaler": "image-xl", "gpuSecondsPerRequest": 1}]},
        "the last variant is the denial and costs nothing; remove its costs, or add a variant such as {name: denied} after it",
    ),
    Refusal(
        "a_scaler_twice_in_a_variant",
        POLICY,
        {"spec.variants[0].costs[1]": {"scaler": "image-xl", "gpuSecondsPerRequest": 1}},
        "a variant names a scaler twice; write one cost for each scaler",
    ),
    Refusal(
        "lowest_names_no_variant",
        POLICY,
        {"spec.tiers[1].lowest": "small"},
        "lowest names no variant of this policy; write one of the names under variants",
        "tier plus: there is no variant 'small'; write one of full, lite, denied",
    ),
    Refusal(
        "lowest_of_a_tier_that_is_never_shed",
        POLICY,
        {"spec.tiers[0].lowest": "lite"},
        "lowest is for availability Auto; remove it, or write availability: Auto",
    ),
    Refusal(
        "a_zone_key_for_utc_days",
        POLICY,
        {"spec.tiers[2].quota.day": "UTC"},
        "zoneKey is for day: User; remove it, or write day: User",
    ),
    Refusal(
        "a_tier_twice", POLICY, {"spec.tiers[1].tierRef.name": "pro"}, "a tier is listed twice; list each tier once"
    ),
    Refusal(
        "a_notice_twice",
        POLICY,
        {"spec.notices[1].when": "Denied"},
        "two notices have the same locale and when; write one text for each",
    ),
    Refusal(
        "a_display_name_twice",
        POLICY,
        {"spec.displayNames[1].locale": "en"},
        "two display names have the same locale; write one for each",
    ),
    Refusal(
        "a_user_label_that_names_the_tier",
        POLICY,
        {"spec.demand.heaviest": {"query": "heaviest", "tierLabel": "plan", "userLabel": "plan"}},
        "userLabel is the label of the tier or of the cohort; write the label that names users",
    ),
)
"""A wrong object for every rule between fields, with the rule's own sentence."""

IMMUTABLE = "an override cannot be changed; delete it and write a new one"
"""The one rule that speaks of a change, not of an object."""

BOUNDS = (
    Refusal("a_number_too_small", SCALER, {"spec.maxReplicas": 0}, "spec.maxReplicas"),
    Refusal("a_number_too_great", SCALER, {"spec.priority": 1001}, "spec.priority"),
    Refusal("a_word_that_is_none_of_the_choices", SCALER, {"spec.mode": "auto"}, "spec.mode"),
    Refusal("a_duration_instead_of_seconds", SCALER, {"spec.queue.drainSeconds": "15s"}, "spec.queue.drainSeconds"),
    Refusal("a_float", POLICY, {"spec.variants[0].costs[0].gpuSecondsPerRequest": 0.5}, "gpuSecondsPerRequest"),
    Refusal(
        "a_negative_quantity", POLICY, {"spec.variants[0].costs[0].gpuSecondsPerRequest": -1}, "gpuSecondsPerRequest"
    ),
    Refusal("a_quantity_with_a_unit", SCALER, {"spec.metrics[0].target.value": "7s"}, "spec.metrics[0].target.value"),
    Refusal("a_boolean_for_a_name", POLICY, {"spec.variants[2].name": False}, "spec.variants[2].name"),
    Refusal("a_name_in_capitals", POLICY, {"spec.variants[2].name": "Denied"}, "spec.variants[2].name"),
    Refusal("one_variant_alone", POLICY, {"spec.variants": [{"name": "denied"}], "spec.tiers": []}, "spec.variants"),
    Refusal("no_capacity", POOL, {"spec.capacity": ABSENT}, "spec"),
    Refusal("restoring_above_full", POOL, {"spec.saturation.restorePercent": 98}, "spec.saturation.restorePercent"),
    Refusal("an_empty_reason", OVERRIDE, {"spec.reason": ""}, "spec.reason"),
    Refusal("no_end", OVERRIDE, {"spec.expireTime": ABSENT}, "spec"),
    Refusal("an_end_without_a_zone", OVERRIDE, {"spec.expireTime": "2026-11-22T20:00:00"}, "spec.expireTime"),
    Refusal("an_end_that_is_no_moment", OVERRIDE, {"spec.expireTime": "2026-13-22T20:00:00Z"}, "spec.expireTime"),
    Refusal("a_word_for_a_number", SCALER, {"spec.gpusPerReplica": "none"}, "spec.gpusPerReplica"),
    Refusal("a_query_of_nothing", SCALER, {"spec.metrics[0].query": ""}, "spec.metrics[0].query"),
    Refusal("a_text_without_end", POLICY, {"spec.notices[0].text": "x" * 501}, "spec.notices[0].text"),
)
"""Wrong types and values out of bounds, with the field that the refusal must name."""
