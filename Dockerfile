# The server with scientific Python. No BuildKit is needed: Heroku's builder has none.
#   docker build --tag tabpy-rs .
#   docker build --build-arg EXTRA_PIP="textblob statsmodels" --tag tabpy-rs .

# The Python of the Debian release below; the binary is linked to it.
ARG PYTHON_VERSION=3.13

FROM rust:1-slim-trixie AS build
ARG PYTHON_VERSION
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends "python${PYTHON_VERSION}-dev" gcc libc6-dev \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /build
COPY . .
RUN PYO3_PYTHON="/usr/bin/python${PYTHON_VERSION}" cargo build --release --locked --bins \
    && strip target/release/tabpy-rs target/release/tabpy-user
# The functions that are published at start, and a password file if there is one. Whatever uid the platform
# gives, the group is 0.
RUN mkdir -p functions /app/state && cp -r functions /app/ \
    && if [ -f tabpypwd.txt ]; then cp tabpypwd.txt /app/; fi \
    && chmod -R g=u /app

FROM debian:trixie-slim
ARG PYTHON_VERSION
# Debian's packages carry its security updates, so their versions are left to it.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends \
        ca-certificates "libpython${PYTHON_VERSION}" "python${PYTHON_VERSION}-venv" tzdata \
    && rm -rf /var/lib/apt/lists/* \
    && "python${PYTHON_VERSION}" -m venv /opt/venv

# What scripts may import. A layer of its own: it changes seldom and is the largest.
COPY requirements.txt /opt/requirements.txt
RUN /opt/venv/bin/pip install --no-cache-dir --requirement /opt/requirements.txt

ARG EXTRA_PIP=""
# Several packages, parted by spaces, are several words.
# hadolint ignore=SC2086
RUN [ -z "$EXTRA_PIP" ] || /opt/venv/bin/pip install --no-cache-dir $EXTRA_PIP

COPY --from=build /build/target/release/tabpy-rs /build/target/release/tabpy-user /usr/local/bin/
# TabPy's own command works as its documentation has it.
RUN ln -s tabpy-rs /usr/local/bin/tabpy

COPY --from=build /app /app
WORKDIR /app

# A container is reached from elsewhere. Two arenas keep the C library from holding memory for each thread.
ENV PATH=/opt/venv/bin:$PATH \
    VIRTUAL_ENV=/opt/venv \
    TABPY_HOST=0.0.0.0 \
    TABPY_STATE_PATH=/app/state \
    MALLOC_ARENA_MAX=2

USER 10001:0
EXPOSE 9004
HEALTHCHECK --interval=30s --timeout=5s --start-period=5s CMD ["tabpy-rs", "healthcheck"]
ENTRYPOINT ["tabpy-rs"]
# One word: Heroku hands this to the entrypoint as a single string.
CMD ["serve"]
