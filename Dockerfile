# The app in a slim image, as a user without rights, with its database in a volume.
#   docker build -t pairs .
#   docker run --rm -p 127.0.0.1:8501:8501 -e PAIRS_API_TOKEN=… -v pairs-data:/data pairs
FROM python:3.11-slim AS build
WORKDIR /app
COPY requirements.txt requirements.lock ./
# The lock also holds the developer's tools; as constraints it pins only what the app asks for.
RUN python -m venv /venv \
 && sed -e '/^ *--hash/d' -e 's/ *\\$//' requirements.lock > constraints.txt \
 && /venv/bin/python -m pip install --no-cache-dir -r requirements.txt -c constraints.txt

FROM python:3.11-slim
RUN useradd --create-home --uid 10001 pairs && install -d -o pairs -g pairs /data
WORKDIR /app
COPY --from=build /venv /venv
COPY . .
ENV PATH=/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    NUMBA_CACHE_DIR=/data/.numba \
    PAIRS_DATABASE_URL=sqlite:////data/pairs.db
USER pairs
VOLUME /data
EXPOSE 8501
# Beyond loopback the app refuses to start without PAIRS_API_TOKEN; publish the port on loopback or
# behind a proxy only.
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s \
    CMD ["python", "deploy/healthcheck.py"]
STOPSIGNAL SIGINT
CMD ["streamlit", "run", "app.py", "--server.address", "0.0.0.0", "--server.headless", "true"]
