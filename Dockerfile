# One image for both services, for linux/amd64 and linux/arm64:
#   docker build --tag warmline .
#   docker run ... warmline edge --config /etc/warmline/warmline.toml
#   docker run ... warmline region_agent --config /etc/warmline/warmline.toml
#
# Packages are pinned by the hashes in uv.lock and deploy/docker/build.txt. The base image is
# pinned by its tag only. Pin it by digest as well where you build for production:
#   docker buildx imagetools inspect python:3.11-slim-bookworm      # prints "Digest: sha256:..."
#   docker build --build-arg PYTHON_IMAGE=python:3.11-slim-bookworm@sha256:... --tag warmline .
ARG PYTHON_IMAGE=python:3.11-slim-bookworm

FROM ${PYTHON_IMAGE} AS build
WORKDIR /src
ENV UV_PROJECT_ENVIRONMENT=/opt/warmline \
    UV_PYTHON_DOWNLOADS=never \
    UV_LINK_MODE=copy \
    UV_COMPILE_BYTECODE=1
COPY deploy/docker/build.txt ./
RUN --mount=type=cache,target=/root/.cache \
    python -m venv /opt/build \
    && /opt/build/bin/pip install --require-hashes --requirement build.txt
COPY pyproject.toml uv.lock ./
RUN --mount=type=cache,target=/root/.cache \
    /opt/build/bin/uv sync --locked --no-default-groups --no-install-project
COPY README.md LICENSE ./
COPY examples/warmline.toml examples/warmline.toml
COPY backhaul backhaul
COPY edge edge
COPY region_agent region_agent
COPY console console
COPY lab lab
RUN /opt/build/bin/hatchling build --target wheel \
    && /opt/build/bin/uv pip install --python /opt/warmline/bin/python --no-index --no-deps dist/*.whl

FROM ${PYTHON_IMAGE} AS service
ENV PATH=/opt/warmline/bin:/usr/local/bin:/usr/bin:/bin \
    HOME=/tmp \
    PYTHONDONTWRITEBYTECODE=1 \
    EDGE_ADMIN_PORT=9090 \
    REGION_AGENT_ADMIN_PORT=9090 \
    REGION_AGENT_RECORDING_SPOOL=/var/lib/warmline/recordings
COPY --from=build /opt/warmline /opt/warmline
# The only place that is written to, besides /tmp: recordings that wait for their upload.
RUN install --directory --owner=10001 --group=10001 /var/lib/warmline
USER 10001:10001
WORKDIR /var/lib/warmline
# Webhooks and Media Streams of an edge, links of an agent, and the admin listener.
EXPOSE 8080 8081 7443/tcp 7443/udp 9090
# Needs an admin token (EDGE_ADMIN_TOKEN, REGION_AGENT_ADMIN_TOKEN); without one there is no
# admin listener to ask.
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:9090/livez', timeout=3)"]
ENTRYPOINT ["python", "-m"]
CMD ["edge", "--config", "/etc/warmline/warmline.toml"]
