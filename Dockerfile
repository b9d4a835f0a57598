# One image for worker, web and bot; the command says which.
FROM python:3.11-slim-bookworm AS build
WORKDIR /app
RUN python -m venv /venv
COPY requirements.runtime.lock ./
RUN /venv/bin/pip install --no-cache-dir --require-hashes -r requirements.runtime.lock

FROM python:3.11-slim-bookworm
ENV PATH=/venv/bin:$PATH PYTHONPATH=/app PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 \
    BLOXTR8_WEB__HOST=0.0.0.0 BLOXTR8_DATA_DIR=/var/lib/bloxtr8 \
    BLOXTR8_KEYS__DIRECTORY=/run/secrets/bloxtr8-keys BLOXTR8_KEYS__CREATE=false
RUN useradd --system --uid 10001 --home-dir /var/lib/bloxtr8 --create-home bloxtr8
WORKDIR /app
COPY --from=build /venv /venv
# `agents`, `tables`, `web` and `proto` are top-level names: the application runs from its root.
COPY app.py ./
COPY bloxtr8 bloxtr8
COPY agents agents
COPY tables tables
COPY web web
COPY bot bot
COPY proto proto
USER bloxtr8
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=5s --start-period=120s --retries=3 \
    CMD ["python", "-m", "bloxtr8.cli.healthcheck"]
# SIGTERM drains, commits and leaves the group; give it the 90 s that this may take.
STOPSIGNAL SIGTERM
CMD ["faust", "-A", "app", "worker"]
