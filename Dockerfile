# A service on the CPU. Build it in this folder, and run it with nothing writable but where voices are kept:
#
#   docker build --tag voices .
#   docker run --read-only --cap-drop ALL --security-opt no-new-privileges --memory 2g \
#     -e SHORTVOX_API_KEY -v voices:/data -p 127.0.0.1:8017:8017 voices
#
# It does not start without SHORTVOX_API_KEY, or --api-key-file with a secret that is mounted.
FROM python:3.11-slim

ENV PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 OMP_NUM_THREADS=1
WORKDIR /build
COPY pyproject.toml constraints.txt README.md LICENSE NOTICE ./
COPY src src
RUN pip install -c constraints.txt '.[serve,seal]' \
    && rm -rf /build/* \
    && useradd --system --uid 10001 --user-group --no-create-home shortvox \
    && install -d -m 700 -o shortvox -g shortvox /data

USER 10001
WORKDIR /data
VOLUME /data
EXPOSE 8017
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=20s \
    CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8017/health', timeout=4)"]
ENTRYPOINT ["shortvox", "serve", "--host", "0.0.0.0", "--gallery", "/data/voices.db"]
