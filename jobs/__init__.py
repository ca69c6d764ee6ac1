"""The jobs, and all that is computed in them."""

import os

# Set here because MLflow reads it when it is imported. Jobs send no telemetry.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
