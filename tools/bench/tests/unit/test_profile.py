"""The layer that a sample of a profile counts for."""

from cafeteria.bench.profile import EVENT_LOOP, by_layer

RUN = "<module> (gateway/__main__.py:9);run (chassis/process.py:42)"


def test_a_sample_counts_for_its_innermost_frame_that_belongs_to_a_layer() -> None:
    lines = [
        f"{RUN};handle (litestar/routes/http.py:80);place_order (gateway/http_api.py:99);dumps (json/__init__.py:1) 3",
        f"{RUN};send (uvicorn/protocols/http/httptools_impl.py:500) 2",
        f"{RUN};_work (chassis/database/group_commit.py:90);execute (sqlalchemy/engine/base.py:1) 4",
    ]
    assert by_layer(lines) == {"the service's own": 3, "HTTP server": 2, "SQLAlchemy": 4}


def test_a_sample_without_a_layer_counts_for_the_event_loop() -> None:
    assert by_layer([f"{RUN};run_until_complete (asyncio/runners.py:118) 7"]) == {EVENT_LOOP: 7}
