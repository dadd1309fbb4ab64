# One image for every service and for the bootstrap:
#     docker build -f deploy/service.Dockerfile --build-arg PACKAGE=gateway -t cafeteria/gateway .
# Another base image, or a mirror of this one: --build-arg PYTHON_IMAGE=…
ARG PYTHON_IMAGE=python:3.13-slim@sha256:9662417aace5ae7b8e2609cce472b72a8958e134ba372808abe9cc1a0c0125e6

FROM ${PYTHON_IMAGE} AS build
RUN pip install --no-cache-dir --root-user-action=ignore uv==0.13.9
ENV UV_CACHE_DIR=/uv-cache \
    UV_COMPILE_BYTECODE=1 \
    UV_LINK_MODE=copy \
    UV_PROJECT_ENVIRONMENT=/app \
    UV_PYTHON_DOWNLOADS=never
WORKDIR /source
ARG PACKAGE
# What the package depends on, in a layer that a change of the sources leaves as it is.
RUN --mount=type=cache,target=/uv-cache \
    --mount=type=bind,source=pyproject.toml,target=pyproject.toml \
    --mount=type=bind,source=uv.lock,target=uv.lock \
    uv sync --frozen --no-dev --no-install-workspace --package "cafeteria-${PACKAGE}"
COPY . .
RUN --mount=type=cache,target=/uv-cache \
    uv sync --locked --no-dev --no-editable --package "cafeteria-${PACKAGE}"

FROM ${PYTHON_IMAGE}
ARG PACKAGE
RUN useradd --uid 10001 --user-group --no-create-home --shell /usr/sbin/nologin cafeteria
COPY --from=build /app /app
ENV PATH=/app/bin:$PATH \
    PACKAGE=${PACKAGE} \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
WORKDIR /app
USER 10001:10001
# The shell becomes Python, so that SIGTERM reaches the service. A service's package is named as its module.
CMD ["sh", "-c", "exec python -m \"cafeteria.${PACKAGE}\""]
