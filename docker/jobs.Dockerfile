# The jobs: Spark, Delta, Lightning, MLflow. Also Spark's master and worker, the MLflow server and the shop window.
FROM python:3.11.13-slim-bookworm

ENV PYTHONUNBUFFERED=1 \
    MLFLOW_DISABLE_TELEMETRY=true \
    PIP_NO_CACHE_DIR=1 \
    UV_NO_CACHE=1
WORKDIR /opt/atelier

# The same set-up as on a machine: hash-locked environment, Java (by apt), Delta's jars, MiniLM.
COPY scripts/setup.sh scripts/fetch_jars.py scripts/
COPY requirements requirements
RUN scripts/setup.sh jobs && rm -rf /var/lib/apt/lists/*

COPY expectations expectations
COPY lightning_modules lightning_modules
COPY sample_data sample_data
COPY jobs jobs
COPY app app

ENV JAVA_HOME=/opt/atelier/.venv/java \
    PATH=/opt/atelier/.venv/jobs/bin:$PATH \
    PYTHONPATH=/opt/atelier \
    PYSPARK_PYTHON=/opt/atelier/.venv/jobs/bin/python \
    SPARK_CONF_DIR=/opt/atelier/jobs/platform/spark_conf
# Volumes take over these folders' owner.
RUN useradd --uid 10001 --create-home atelier \
    && mkdir -p /warehouse /mlflow /shop /opt/atelier/.airflow \
    && chown atelier:atelier /warehouse /mlflow /shop /opt/atelier/.airflow
USER 10001
