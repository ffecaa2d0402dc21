# One image for every fitstream process; localstack/compose.yaml starts them. Not built by any test.
FROM python:3.11-slim AS build

# cpu, or a CUDA version as uv names it (cu130); the versions are those of requirements.lock.
ARG TORCH_BACKEND=cpu
RUN pip install --no-cache-dir uv==0.13.9
WORKDIR /src
COPY requirements.lock ./
RUN sed -E '/^ +(--hash|#)/d; s/ *\\$//' requirements.lock > constraints.txt
COPY pyproject.toml README.md LICENSE NOTICE ./
COPY templates templates
COPY localstack localstack
COPY fitstream fitstream
RUN uv venv /opt/fitstream \
    && uv pip install --no-cache --python /opt/fitstream/bin/python --constraint constraints.txt \
        --torch-backend "$TORCH_BACKEND" ".[trainer]"

FROM python:3.11-slim
COPY --from=build /opt/fitstream /opt/fitstream
RUN useradd --system --create-home fitstream
USER fitstream
ENV PATH=/opt/fitstream/bin:$PATH PYTHONUNBUFFERED=1
EXPOSE 8080 8081
ENTRYPOINT ["fitstream"]
CMD ["--help"]
