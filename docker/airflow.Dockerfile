# Airflow beside the jobs, each in its own environment: its scheduler starts spark-submit and `python -m jobs...` there.
# `jobs` is the image of jobs.Dockerfile, named in compose.yaml.
FROM jobs

USER root
RUN scripts/setup.sh airflow
COPY scripts scripts
COPY dags dags
USER atelier
CMD ["scripts/airflow", "version"]
