"""Settings: what stands over what, and what cannot be."""

import math
from pathlib import Path

import pytest

from brownout_inference.main import main, parser, settings_from
from brownout_inference.settings import LOOPBACK, Settings, SettingsError


def settings(*arguments: str) -> Settings:
    return settings_from(parser().parse_args(["serve", *arguments]))


def config(folder: Path, text: str) -> str:
    path = folder / "config.yaml"
    path.write_text(text)
    return str(path)


def test_a_workload_and_a_feature_are_enough() -> None:
    made = settings("--workload", "image", "--features", "image-generation")
    assert (made.model, made.host, made.port) == ("image", "127.0.0.1", 8000)


def test_the_pod_says_where_to_listen_and_which_flags_to_ask_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POD_IP", "127.16.0.9")
    monkeypatch.setenv("POD_NAMESPACE", "media")
    monkeypatch.setenv("FLAGD_HOST", "127.17.0.4")
    monkeypatch.setenv("FLAGD_SYNC_PORT", "9000")
    made = settings("--workload", "image", "--features", "image-generation")
    assert made.host == "127.16.0.9"
    assert (made.flags.host, made.flags.port, made.flags.selector) == ("127.17.0.4", 9000, "media")


def test_a_selector_that_is_given_stands_over_the_namespace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POD_NAMESPACE", "media")
    monkeypatch.setenv("FLAGD_SOURCE_SELECTOR", "flagSetId=chat")
    assert settings("--workload", "image", "--features", "image-generation").flags.selector == "flagSetId=chat"


def test_quotas_are_counted_where_the_flags_come_from_unless_told_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLAGD_HOST", "127.17.0.4")
    monkeypatch.setenv("FLAGD_SOURCE_SELECTOR", "flagSetId=media")
    words = ["--workload", "image", "--features", "image-generation"]
    assert settings(*words).quota.url == "http://127.17.0.4:8080/media"
    monkeypatch.setenv("QUOTA_URL", "https://flags.example/media/")
    monkeypatch.setenv("QUOTA_TOKEN", "key")
    found = settings(*words).quota
    assert (found.url, found.token) == ("https://flags.example/media", "key")


def test_the_command_line_stands_over_the_file(tmp_path: Path) -> None:
    path = config(
        tmp_path, "workload: image-xl\nmodel: image\nstepSeconds: 0.5\nfeatures: {image-generation: {steps: 12}}"
    )
    made = settings("--config", path, "--step-seconds", "0.2")
    assert (made.workload, made.step_seconds) == ("image-xl", 0.2)
    assert made.features[0].steps == 12


def test_company_is_bounded_and_the_queue_is_not_unless_told_otherwise(tmp_path: Path) -> None:
    image = ("--workload", "image", "--features", "image-generation")
    made = settings(*image)
    assert (made.company_slack, made.queue_seconds) == (0.05, None)
    path = config(tmp_path, "companySlack: .inf\nqueueSeconds: 0.5")
    made = settings(*image, "--config", path)
    assert (made.company_slack, made.queue_seconds) == (math.inf, 0.5)
    made = settings(*image, "--config", path, "--company-slack", "0", "--queue-seconds", "2")
    assert (made.company_slack, made.queue_seconds) == (0, 2)


def test_the_heaviest_users_are_named_until_somebody_says_no(monkeypatch: pytest.MonkeyPatch) -> None:
    image = ("--workload", "image", "--features", "image-generation")
    assert settings(*image).heaviest_users == 5
    assert settings(*image, "--heaviest-users", "0").heaviest_users == 0
    monkeypatch.setenv("HEAVIEST_USERS", "0")
    assert settings(*image).heaviest_users == 0


def test_a_feature_of_ones_own_names_its_endpoint(tmp_path: Path) -> None:
    path = config(tmp_path, "features: {avatars: {api: images, flagKey: avatars-v2, steps: 4}}")
    (feature,) = settings("--config", path, "--workload", "image").features
    assert (feature.name, feature.api, feature.flag_key) == ("avatars", "images", "avatars-v2")


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--workload", "image"], "--features"),
        (["--workload", "image-xl", "--features", "image-generation"], "--model image"),
        (["--workload", "image", "--features", "chat"], "needs chat"),
        (["--workload", "image", "--features", "avatars"], "`api`"),
        (["--workload", "image", "--features", "image-generation", "--max-batch", "0"], "--max-batch"),
        (["--workload", "image", "--features", "image-generation", "--step-seconds", "nan"], "--step-seconds"),
        (["--workload", "image", "--features", "image-generation", "--port", "70000"], "--port is 70000; write 1 to"),
        (["--workload", "image", "--features", "image-generation", "--port", "-1"], "--port is -1; write 1 to 65535"),
        (["--workload", "image", "--features", "image-generation", "--flags-port", "0"], "--flags-port is 0; write 1"),
        (["--model", "python:mine", "--features", "chat"], r"'python:mine'; write python:module\.Class"),
        (["--model", "python:.Mine", "--features", "chat"], r"'python:\.Mine'; write python:module\.Class"),
        (["--config", "/nowhere.yaml"], "/nowhere.yaml"),
        (["--workload", "image", "--features", "image-generation", "--company-slack", "nan"], "--company-slack"),
        (["--workload", "image", "--features", "image-generation", "--queue-seconds", "0"], "--queue-seconds"),
        (["--workload", "image", "--features", "image-generation", "--heaviest-users", "6"], "--heaviest-users"),
        (["--workload", "image", "--features", "image-generation", "--quota-url", "flags:8080"], "--quota-url"),
        (["--workload", "image", "--features", "image-generation", "--quota-ttl-seconds", "0"], "--quota-ttl-seconds"),
    ],
)
def test_what_cannot_be_is_refused_by_name(arguments: list[str], complaint: str) -> None:
    with pytest.raises(SettingsError, match=complaint):
        settings(*arguments)


@pytest.mark.parametrize(
    ("model", "name"),
    [("./Llama-3.2-1B", "Llama-3.2-1B"), ("/models/llama/", "llama"), ("python:mine.engines.Mine", "Mine")],
)
def test_a_model_is_called_what_its_folder_or_its_class_is(model: str, name: str) -> None:
    assert settings("--model", model, "--features", "chat").workload == name


@pytest.mark.parametrize("field", ["steps: -5", "steps: 0", "steps: 1000", "side: 0", "frames: 99", "maxTokens: 0"])
def test_numbers_of_features_are_bounded(tmp_path: Path, field: str) -> None:
    path = config(tmp_path, f"features: {{image-generation: {{{field}}}}}")
    with pytest.raises(SettingsError, match=field.partition(":")[0]):
        settings("--config", path, "--workload", "image")


def test_a_feature_says_in_which_size_pictures_are_made(tmp_path: Path) -> None:
    made = settings("--config", config(tmp_path, "features: {image-generation: {side: 14}}"), "--workload", "image")
    assert made.features[0].typical_work().slots == 0.3
    with pytest.raises(SettingsError, match=r"side is 64; .* 28 or 14 pixels"):
        settings("--config", config(tmp_path, "features: {image-generation: {side: 64}}"), "--workload", "image")


def test_what_can_never_be_in_time_does_not_start() -> None:
    with pytest.raises(SettingsError, match=r"takes 40 s at --step-seconds 5, and is of use within 30 s"):
        settings("--workload", "image", "--features", "image-generation", "--step-seconds", "5")


def test_a_folder_of_a_pipeline_makes_no_clips(tmp_path: Path) -> None:
    (tmp_path / "model_index.json").write_text("{}")
    with pytest.raises(SettingsError, match="video"):
        settings("--model", str(tmp_path), "--features", "image-generation,video-generation")


def test_an_environment_variable_that_is_no_number_is_told_to_be_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", "tcp://10.0.0.1:80")
    with pytest.raises(SettingsError, match=r"PORT is 'tcp://10\.0\.0\.1:80'; write a whole number, such as 8000"):
        settings("--workload", "image", "--features", "image-generation")


def test_an_unknown_field_of_the_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="stepSecond"):
        settings("--config", config(tmp_path, "stepSecond: 1"))


def test_bad_settings_are_one_line_and_status_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", "--workload", "image"]) == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize(
    ("host", "secret", "trusted"),
    [
        ("127.0.0.1", "", True),
        ("127.16.0.9", "", True),
        ("::1", "", True),
        ("localhost", "", True),
        ("10.244.1.7", "", False),
        ("0.0.0.0", "", False),
        ("inference.example", "", False),
        ("10.244.1.7", "s3cret", True),
    ],
)
def test_loopback_is_trusted_by_default_only_where_the_server_listens_there_or_a_secret_is_shown(
    monkeypatch: pytest.MonkeyPatch, host: str, secret: str, trusted: bool
) -> None:
    monkeypatch.setenv("POD_IP", host)
    monkeypatch.setenv("GATEWAY_SECRET", secret)
    words = ["--workload", "image", "--features", "image-generation"]
    assert settings(*words).identity.gateways == (LOOPBACK if trusted else ())
    named = settings(*words, "--trusted-gateways", "10.4.0.0/16").identity.gateways
    assert [str(network) for network in named] == ["10.4.0.0/16"]


def test_metrics_are_at_a_port_of_their_own_only_where_one_is_named() -> None:
    words = ["--workload", "image", "--features", "image-generation"]
    assert settings(*words).metrics_port is None
    assert settings(*words, "--metrics-port", "9090").metrics_port == 9090
    with pytest.raises(SettingsError, match="--metrics-port is 8000, as --port is"):
        settings(*words, "--metrics-port", "8000")
    with pytest.raises(SettingsError, match="--metrics-port is 0; write 1 to 65535"):
        settings(*words, "--metrics-port", "0")
