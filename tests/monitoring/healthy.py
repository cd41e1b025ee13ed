"""Three hours of a cluster in which all is well, with the metrics that the alerts look at."""

OPERATOR = 'namespace="brownout-system",job="operator"'
FLAGS = 'namespace="brownout-system",job="flags"'
FLAGS_POD = f'{FLAGS},pod="flags-1",instance="10.0.0.1:8080"'
CELL = 'namespace="media",feature="images",tier="pro",cohort=""'
FREE = 'namespace="media",feature="images",tier="free",cohort="new"'
SCALER = 'namespace="media",scaler="image"'
IMAGE = 'namespace="media",workload="image"'
OVERRIDE = 'namespace="media",feature="images",override="incident",variant="denied"'

MINUTES = 180


def constant(value: float) -> str:
    return f"{value:g}x{MINUTES}"


def rising(each_minute: float) -> str:
    """A counter that rises by so much in a minute."""
    return f"0+{each_minute:g}x{MINUTES}"


HEALTHY = {
    f'brownout_leader{{{OPERATOR},pod="operator-1"}}': constant(1),
    f'brownout_leader{{{OPERATOR},pod="operator-2"}}': constant(0),
    f"brownout_last_tick_timestamp_seconds{{{OPERATOR}}}": rising(60),
    f"brownout_tick_errors_total{{{OPERATOR}}}": constant(0),
    f'brownout_tick_duration_seconds_bucket{{{OPERATOR},le="1"}}': rising(30),
    f'brownout_tick_duration_seconds_bucket{{{OPERATOR},le="10"}}': rising(30),
    f'brownout_tick_duration_seconds_bucket{{{OPERATOR},le="+Inf"}}': rising(30),
    'brownout_evidence_missing{job="operator",kind="FeaturePolicy",namespace="media",name="images"}': constant(0),
    f'brownout_prometheus_queries_total{{{OPERATOR},result="answered"}}': rising(120),
    f'brownout_prometheus_queries_total{{{OPERATOR},result="failed"}}': constant(0),
    f'brownout_prometheus_query_duration_seconds_bucket{{{OPERATOR},le="0.1"}}': rising(120),
    f'brownout_prometheus_query_duration_seconds_bucket{{{OPERATOR},le="5"}}': rising(120),
    f'brownout_prometheus_query_duration_seconds_bucket{{{OPERATOR},le="+Inf"}}': rising(120),
    f'brownout_kubernetes_api_errors_total{{{OPERATOR},what="FeaturePolicy"}}': constant(1),
    f'brownout_scale_writes_total{{{OPERATOR},result="written"}}': rising(0.2),
    f'brownout_scale_writes_total{{{OPERATOR},result="failed"}}': constant(1),
    'brownout_pool_saturation_ratio{pool="h100"}': constant(0.8),
    'brownout_pool_saturated{pool="h100"}': constant(0),
    'brownout_pool_ladder_rungs{pool="h100",state="taken"}': constant(0),
    'brownout_pool_ladder_rungs{pool="h100",state="total"}': constant(4),
    'brownout_pool_gpus{pool="h100",state="capacity"}': constant(8),
    'brownout_pool_gpus{pool="h100",state="granted"}': constant(6),
    f'brownout_scaler_replicas{{{SCALER},state="desired"}}': constant(6),
    f'brownout_scaler_replicas{{{SCALER},state="ready"}}': constant(6),
    f'brownout_scaler_info{{{SCALER},pool="h100",mode="Auto"}}': constant(1),
    f"brownout_cell_variant{{{CELL}}}": constant(0),
    f"brownout_cell_variant{{{FREE}}}": constant(0),
    f"brownout_cell_percent{{{CELL}}}": constant(100),
    f"brownout_cell_percent{{{FREE}}}": constant(100),
    f"brownout_cell_reversals{{{FREE}}}": constant(1),
    f'brownout_cell_info{{{CELL},flag="images",availability="Always",reason="Served",refused_by=""}}': constant(1),
    f'brownout_cell_info{{{FREE},flag="images",availability="Auto",reason="Served",refused_by=""}}': constant(1),
    f"brownout_override_start_timestamp_seconds{{{OVERRIDE}}}": constant(0),
    f"brownout_override_end_timestamp_seconds{{{OVERRIDE}}}": constant(86400),
    f"brownout_flags_sets{{{FLAGS_POD}}}": constant(1),
    f"brownout_flags_namespaces_withheld{{{FLAGS_POD}}}": constant(0),
    f"brownout_flags_sync_age_seconds{{{FLAGS_POD}}}": f"30 60x{MINUTES}",
    f'brownout_flags_kind_missing{{{FLAGS},kind="featurepolicies"}}': constant(0),
    'brownout_flags_set_info{namespace="media",version="aaa",pod="flags-1"}': constant(1),
    'brownout_flags_set_info{namespace="media",version="aaa",pod="flags-2"}': constant(1),
    f'brownout_flags_renders_total{{{FLAGS},result="changed"}}': rising(2),
    f'brownout_flags_renders_total{{{FLAGS},result="failed"}}': constant(0),
    f'brownout_flags_unreadable_objects_total{{{FLAGS},kind="featurepolicies"}}': constant(0),
    f'brownout_flags_snapshot_errors_total{{{FLAGS_POD},operation="write"}}': constant(0),
    f'brownout_flags_connections_ended_total{{{FLAGS},reason="idle"}}': rising(600),
    f'brownout_flags_connections_ended_total{{{FLAGS},reason="displaced"}}': constant(0),
    f"brownout_flags_quota_available{{{FLAGS_POD}}}": constant(1),
    f"brownout_flags_jwks_errors_total{{{FLAGS}}}": constant(1),
    f"brownout_feature_offered_total{{{CELL}}}": rising(60),
    f"brownout_feature_offered_total{{{FREE}}}": rising(600),
    f'brownout_feature_refused_total{{{CELL},reason="queue_full"}}': constant(0),
    f'brownout_feature_refused_total{{{FREE},reason="queue_full"}}': rising(300),
    f'brownout_feature_failed_total{{{CELL},reason="engine"}}': constant(2),
    f"brownout_inference_engine_losses_total{{{IMAGE}}}": constant(1),
    'brownout_inference_quota_total{namespace="media",feature="images",outcome="reserved"}': rising(10),
    'brownout_inference_quota_total{namespace="media",feature="images",outcome="unavailable"}': constant(0),
}
"""Free users are refused by a full queue, which is what a queue is for; a failure here and there is none to wake anybody for."""
