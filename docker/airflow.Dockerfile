# Airflow beside the jobs, each in its own environment: its scheduler starts spark-submit and `python -m jobs...` there.
# `jobs` is the image of jobs.Dockerfile, named in compose.yaml.
# hadolint ignore=DL3006
FROM jobs

WORKDIR /opt/atelier
USER 0
RUN scripts/setup.sh airflow
COPY scripts scripts
COPY dags dags
USER 10001
CMD ["scripts/airflow", "version"]
