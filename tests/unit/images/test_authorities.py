"""What the Dockerfiles put into the stage that every image ends as. The images themselves are looked at on kind."""

import re

import pytest

from support.examples import REPOSITORY


@pytest.mark.parametrize("component", ["operator", "inference"])
def test_every_image_has_certificate_authorities_however_it_is_built(component: str) -> None:
    text = (REPOSITORY / component / "Dockerfile").read_text()
    first, *_, last = re.split(r"^(?=FROM )", text, flags=re.MULTILINE)[1:]
    assert first.splitlines()[0].endswith(" AS python")
    assert last.startswith("FROM python\n")
    installed = re.findall(r"/tmp/debian (.+?)(?: ;;|$)", first, flags=re.MULTILINE)
    assert installed
    assert all("ca-certificates" in packages.split() for packages in installed), installed
