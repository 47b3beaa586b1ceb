from __future__ import annotations

import os
import socket
import sys

import pytest

from engine.web.ports import who_listens


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux says who has a port")
def test_the_program_that_has_a_port_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        holder = who_listens(server.getsockname()[1])
    assert holder is not None
    assert holder.endswith(f"process {os.getpid()}")


def test_a_free_port_has_no_holder() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    assert who_listens(port) is None
