"""The command line: `brownout-inference serve`."""

import argparse
import asyncio
import logging
import math
import os
import sys
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from brownout_inference.allocator import keep_freed_memory
from brownout_inference.engine.company import SLACK
from brownout_inference.engine.load import OWN, EngineSpec, LoadError
from brownout_inference.engine.process import EngineLostError, EngineProcess
from brownout_inference.identity_options import add_identity_options, identity_settings
from brownout_inference.settings import (
    MODELS,
    MOST_HEAVIEST_USERS,
    ConfigFile,
    FlagSettings,
    QuotaSettings,
    Settings,
    SettingsError,
    default_selector,
    features_of,
    from_environment,
    own_pod,
    read_config,
)

KEPT_FREE_BYTES = 16 * 2**20
"""Of what a picture's encoding has freed, for the next one."""
MOST_PORT = 65_535


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns the exit status. Bad settings are one line on stderr, never a traceback."""
    started = time.monotonic()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    keep_freed_memory(KEPT_FREE_BYTES)
    try:
        settings = settings_from(parser().parse_args(arguments))
        start_engine = partial(
            EngineProcess,
            settings.engine,
            step_timeout_seconds=settings.step_timeout_seconds,
            load_timeout_seconds=settings.load_timeout_seconds,
        )
        first = start_engine()  # it imports torch while we import the rest
        from brownout_inference.flags import bear_closed_channels
        from brownout_inference.server import serve

        bear_closed_channels()
        asyncio.run(serve(settings, started=started, start_engine=start_engine, first_engine=first))
    except SettingsError as error:
        print(f"brownout-inference: {error}", file=sys.stderr)
        return 2
    except (OSError, LoadError, EngineLostError) as error:
        print(f"brownout-inference: {error}", file=sys.stderr)
        return 1
    return 0


def parser() -> argparse.ArgumentParser:
    """The arguments; each says which environment variable stands for it."""
    top = argparse.ArgumentParser(
        prog="brownout-inference", description="Serves small models the way GPUs serve big ones."
    )
    commands = top.add_subparsers(dest="command", required=True)
    serve = commands.add_parser("serve", help="serve one workload")
    add = serve.add_argument
    add("--config", type=Path, help="a YAML or JSON file with features and numbers")
    add("--workload", help="its name in metrics (default: the model's)")
    add(
        "--model",
        help="image, language, a folder of weights in the layout of diffusers or transformers, or python:package.module.Class, an engine of "
        "your own (default: the workload's name, if it is image or language)",
    )
    add("--device", choices=("cpu", "cuda", "auto"), help="where the model runs (default: cuda where there is one)")
    add(
        "--dtype",
        help="the type that a folder's model computes in, such as float16 (default: bfloat16 on a GPU, else float32)",
    )
    add("--threads", type=int, help="threads of the engine on a CPU [OMP_NUM_THREADS] (default 1)")
    add("--max-tokens", type=int, help="prompt and answer together, for models with a key-value cache (default 2048)")
    add("--memory-share", type=float, help="part of the device's memory that may be used (default 0.9)")
    add(
        "--features",
        help="comma-separated (default: those of --config); built in: image-generation, video-generation, chat",
    )
    add("--host", help="address to listen on [POD_IP] (default 127.0.0.1)")
    add("--port", type=int, help="[PORT] (default 8000)")
    add(
        "--metrics-port",
        type=int,
        help="where /metrics is served, which names users, instead of beside everything else",
    )
    add("--step-seconds", type=float, help="wall time that a step takes at least; 0 is unpaced (default 0.1)")
    add("--max-batch", type=int, help="places in the batch (default 4)")
    add("--pause-slots", type=int, help="places for those who began and let others go first (default: --max-batch)")
    add(
        "--company-slack",
        type=float,
        help="by which part of what it takes without them lower tiers may make a step of more important ones longer, where steps are not paced; negative or inf: any "
        f"(default {SLACK})",
    )
    add("--queue-places", type=int, help="places in the queue for each tier (default 64)")
    add(
        "--queue-seconds",
        type=float,
        help="who would wait behind more GPU-seconds of the same or a higher priority is refused at once (default: no bound but the places and the objective)",
    )
    add(
        "--heaviest-users",
        type=int,
        help="users of each feature, tier and cohort named in metrics, 0 to 5 [HEAVIEST_USERS] (default 5)",
    )
    add("--max-connections", type=int, help="open connections of clients [MAX_CONNECTIONS] (default 1000)")
    add("--grace-seconds", type=float, help="how long a drain may take (default 25)")
    add(
        "--step-timeout-seconds",
        type=float,
        help="an engine whose step takes longer is killed and restarted; more than the longest prompt takes (default 60)",
    )
    add("--load-timeout-seconds", type=float, help="the same while it loads and reports no progress (default 600)")
    add("--flags-host", help="the flag server's sync address [FLAGD_HOST] (default 127.0.0.1)")
    add("--flags-port", type=int, help="[FLAGD_SYNC_PORT] (default 8015)")
    add(
        "--flags-selector",
        help="which set of flags [FLAGD_SOURCE_SELECTOR] (default: the pod's namespace [POD_NAMESPACE])",
    )
    add("--flags-required", action="store_true", help="not ready before the first flags have come")
    add("--unknown-priority", type=int, default=-1, help="place in the queue of users of no known tier (default -1)")
    add(
        "--quota-url",
        help="where quotas are counted [QUOTA_URL] (default http://FLAGS_HOST:8080/SELECTOR); QUOTA_TOKEN in the environment is shown as the bearer token",
    )
    add(
        "--pod-deletion-cost-seconds",
        type=float,
        help="keep the pod's deletion cost at its number of requests, so that a scale-down takes the idlest; written this often "
        "at most, 10 is good [POD_DELETION_COST_SECONDS] (default 0: off); POD_NAME and POD_NAMESPACE say which pod",
    )
    add(
        "--quota-ttl-seconds",
        type=int,
        help="how long a unit stays reserved for a request that is never heard of again; more than any request takes (default 900)",
    )
    add_identity_options(serve)
    return top


def settings_from(arguments: argparse.Namespace) -> Settings:
    """Puts command line, environment, file and defaults together. Raises SettingsError."""
    file = read_config(arguments.config) if arguments.config else ConfigFile()
    workload = arguments.workload or file.workload
    model = arguments.model or file.model or (workload if workload in MODELS else None)
    if model is None:
        raise SettingsError(f"no model for workload {workload!r}; add --model image or --model language")
    named = arguments.features.split(",") if arguments.features else list(file.features)
    flags = FlagSettings(
        host=arguments.flags_host or from_environment("FLAGD_HOST", "127.0.0.1"),
        port=_first(arguments.flags_port, from_environment("FLAGD_SYNC_PORT", 8015)),
        selector=arguments.flags_selector
        or from_environment("FLAGD_SOURCE_SELECTOR", None)
        or default_selector(os.environ),
        required=arguments.flags_required,
        unknown_priority=arguments.unknown_priority,
    )
    base = f"http://{flags.host}:8080" + (f"/{flags.selector.removeprefix('flagSetId=')}" if flags.selector else "")
    quota = QuotaSettings(
        url=(arguments.quota_url or from_environment("QUOTA_URL", base)).rstrip("/"),
        token=from_environment("QUOTA_TOKEN", ""),
        ttl_seconds=_first(arguments.quota_ttl_seconds, 900),
    )
    cost_seconds = _first(
        arguments.pod_deletion_cost_seconds,
        file.pod_deletion_cost_seconds,
        from_environment("POD_DELETION_COST_SECONDS", 0.0),
    )
    max_batch = _first(arguments.max_batch, file.max_batch, 4)
    pause_slots = _first(arguments.pause_slots, file.pause_slots, max_batch)
    engine = EngineSpec(
        model=model,
        device=_first(arguments.device, file.device, "auto"),
        dtype=_first(arguments.dtype, file.dtype, "auto"),
        threads=_first(arguments.threads, file.threads, from_environment("OMP_NUM_THREADS", 1)),
        max_batch=max_batch,
        places=max_batch + pause_slots,
        max_tokens=_first(arguments.max_tokens, file.max_tokens, 2048),
        memory_share=_first(arguments.memory_share, file.memory_share, 0.9),
    )
    host = arguments.host or from_environment("POD_IP", "127.0.0.1")
    settings = Settings(
        workload=workload or _name_of(model),
        model=model,
        features=features_of(
            [name.strip() for name in named if name.strip()], file.features, model, max_tokens=engine.max_tokens
        ),
        host=host,
        port=_first(arguments.port, from_environment("PORT", 8000)),
        metrics_port=arguments.metrics_port,
        step_seconds=_first(arguments.step_seconds, file.step_seconds, 0.1),
        max_batch=max_batch,
        queue_places=_first(arguments.queue_places, file.queue_places, 64),
        heaviest_users=_first(arguments.heaviest_users, file.heaviest_users, from_environment("HEAVIEST_USERS", 5)),
        grace_seconds=_first(arguments.grace_seconds, 25.0),
        flags=flags,
        quota=quota,
        pod=own_pod(os.environ) if cost_seconds else None,
        pod_deletion_cost_seconds=cost_seconds,
        identity=identity_settings(arguments, host=host),
        max_connections=_first(arguments.max_connections, from_environment("MAX_CONNECTIONS", 1000)),
        engine=engine,
        pause_slots=pause_slots,
        company_slack=_first(arguments.company_slack, file.company_slack, SLACK),
        queue_seconds=file.queue_seconds if arguments.queue_seconds is None else arguments.queue_seconds,
        step_timeout_seconds=_first(arguments.step_timeout_seconds, file.step_timeout_seconds, 60.0),
        load_timeout_seconds=_first(arguments.load_timeout_seconds, file.load_timeout_seconds, 600.0),
    )
    _check(settings)
    return settings


def _check(settings: Settings) -> None:
    if not 0 <= settings.heaviest_users <= MOST_HEAVIEST_USERS:
        raise SettingsError(f"--heaviest-users is {settings.heaviest_users}; write 0 to {MOST_HEAVIEST_USERS}")
    if settings.model.startswith(OWN) and not all(settings.model.removeprefix(OWN).rpartition(".")[::2]):
        raise SettingsError(f"--model is {settings.model!r}; write {OWN}module.Class, such as {OWN}mine.Mine")
    ports = {"--port": settings.port, "--flags-port": settings.flags.port, "--metrics-port": settings.metrics_port}
    if settings.metrics_port == settings.port:
        raise SettingsError(f"--metrics-port is {settings.port}, as --port is; write another one, or leave it out")
    for name, port in ports.items():
        if port is not None and not 1 <= port <= MOST_PORT:
            raise SettingsError(f"{name} is {port}; write 1 to {MOST_PORT}")
    if not settings.quota.url.startswith(("http://", "https://")):
        raise SettingsError("--quota-url is no URL of HTTP; write one such as http://brownout-flags:8080/media")
    if not 1 <= settings.quota.ttl_seconds <= 86_400:
        raise SettingsError(f"--quota-ttl-seconds is {settings.quota.ttl_seconds}; write 1 to 86400")
    if not 0 < settings.engine.memory_share <= 1:
        raise SettingsError(f"--memory-share is {settings.engine.memory_share}; write more than 0 and at most 1")
    for feature in settings.features:
        alone, objective = feature.typical_work().steps * settings.step_seconds, feature.objective_seconds
        if objective is not None and alone > objective:
            raise SettingsError(
                f"a plain {feature.name} takes {alone:g} s at --step-seconds {settings.step_seconds:g}, and is of use within {objective:g} s;"
                f" write shorter steps, or fewer of them or a longer objectiveSeconds under features.{feature.name} in --config"
            )
    if math.isnan(settings.company_slack):
        raise SettingsError("--company-slack is no number; write a part such as 0.25, or inf for no bound")
    if settings.queue_seconds is not None and not settings.queue_seconds > 0:
        raise SettingsError(
            f"--queue-seconds is {settings.queue_seconds}; write more than 0, or leave it out for no bound"
        )
    for name, value, least in (
        ("--step-seconds", settings.step_seconds, 0),
        ("--max-batch", settings.max_batch, 1),
        ("--max-connections", settings.max_connections, 1),
        ("--queue-places", settings.queue_places, 1),
        ("--grace-seconds", settings.grace_seconds, 0),
        ("--pod-deletion-cost-seconds", settings.pod_deletion_cost_seconds, 0),
        ("--pause-slots", settings.pause_slots, 0),
        ("--threads", settings.engine.threads, 1),
        ("--max-tokens", settings.engine.max_tokens, 1),
        ("--step-timeout-seconds", settings.step_timeout_seconds, 0.1),
        ("--load-timeout-seconds", settings.load_timeout_seconds, 1),
    ):
        if not value >= least:
            raise SettingsError(f"{name} is {value}; write {least} or more")


def _name_of(model: str) -> str:
    """The last word of a model's name: what it is called in metrics where nothing else is said."""
    if model in MODELS:
        return model
    return model.rpartition(".")[2] if model.startswith(OWN) else Path(model).resolve().name


def _first(*values: Any) -> Any:
    return next(value for value in values if value is not None)


if __name__ == "__main__":
    sys.exit(main())
