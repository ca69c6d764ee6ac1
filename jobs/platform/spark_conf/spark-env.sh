#!/usr/bin/env bash
# Spark's commands source this before Java starts: what Java cannot do without on a machine that lacks it.

# Java writes names of files in the locale's encoding, and "?" for letters that it does not have.
[ "$(locale charmap 2>/dev/null)" = UTF-8 ] || LC_ALL=C.UTF-8

# The driver looks up the host's name, and ends where it has no address.
[ -n "${SPARK_LOCAL_IP:-}" ] || getent hosts "$(uname -n)" >/dev/null 2>&1 || SPARK_LOCAL_IP=127.0.0.1

# A user id without a name, as containers have: Java calls both name and home "?" (jobs/platform/spark.py logs it in).
if ! getent passwd "$EUID" >/dev/null 2>&1; then
    SPARK_USER=${SPARK_USER:-uid$EUID}
    SPARK_SUBMIT_OPTS="${SPARK_SUBMIT_OPTS:-} -Duser.name=$SPARK_USER -Duser.home=${HOME:-/tmp}"
fi

# With the secret, a standalone cluster's processes and its drivers refuse connections without it.
if [ -n "${SPARK_AUTHENTICATE_SECRET:-}" ]; then
    secret="-Dspark.authenticate=true -Dspark.authenticate.secret=$SPARK_AUTHENTICATE_SECRET"
    SPARK_DAEMON_JAVA_OPTS="${SPARK_DAEMON_JAVA_OPTS:-} $secret"
    SPARK_SUBMIT_OPTS="${SPARK_SUBMIT_OPTS:-} $secret"
fi
