"""The jobs, and all that is computed in them."""

import os

# Here, since MLflow looks when it is imported: jobs talk to the stores that they are given, and to nobody else.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
