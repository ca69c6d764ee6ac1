# Atelier's entry points; `make help` lists them. Every target sets up what it needs (scripts/setup.sh) first.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: $(shell sed -nE 's/^([a-z-]+):.*/\1/p' Makefile)

AIRFLOW := .venv/airflow/bin/python
JOBS := .venv/jobs/bin/python
export JAVA_HOME := $(CURDIR)/.venv/java

# TARGET=production or staging: its warehouse, registered model and schedule for all that is started here.
ifdef TARGET
include scripts/targets/$(TARGET).env
export ATELIER_TARGET := $(TARGET)
export $(shell sed -nE 's/^([A-Z_]+)=.*/\1/p' scripts/targets/$(TARGET).env)
endif

OUT ?= data/sample
# $(call flag,name,VAR) -> --name 'value' where VAR has a value; $(call env,NAME,VAR) -> ATELIER_NAME='value' likewise
flag = $(if $($(2)),--$(1) '$($(2))')
env = $(if $($(2)),ATELIER_$(1)='$($(2))')

help: ## explain the targets (default)
	@echo "Atelier: a fashion recommender retrained every week."
	@awk -F ':[^#]*## ' '/^##@ / {print "\n" substr($$0, 5)} /^[a-z-]+:.*## / { \
		text = $$2; if (length(text) > 96) sub(/ \[/, sprintf("\n%23s[", ""), text); printf "  %-20s %s\n", $$1, text }' Makefile
	@printf '\nExamples:\n'
	@echo "  make demo"
	@echo "  make demo DATA=/data/hm AS_OF=2020-09-16 WAREHOUSE=/data/warehouse ENCODER=resnet152"
	@echo "  make up TARGET=staging"
	@echo "  make data SCALE=0.1 OUT=data/tenth SEED=7"

##@ Run

setup: ## both environments, Java and Delta's jars; skipped when nothing changed
	@scripts/setup.sh

doctor: setup ## look at this machine: one line for each thing that a run needs [DATA= WAREHOUSE= MAPPING=]
	@$(JOBS) -m jobs.maintenance.doctor --as-of-date '$(or $(AS_OF),2020-09-23)' $(call flag,data,DATA) \
		$(call flag,warehouse,WAREHOUSE) $(call flag,mapping,MAPPING)

demo: setup ## run the weekly DAG through Airflow and print what came out [DATA= AS_OF= WAREHOUSE= MAPPING= ENCODER= TARGET=]
	@$(AIRFLOW) -m scripts.demo $(call flag,data,DATA) $(call flag,as-of-date,AS_OF) $(call flag,warehouse,WAREHOUSE) \
		$(call flag,mapping,MAPPING) $(call flag,encoder,ENCODER)

catalogue: setup ## run the catalogue DAG: articles and pictures alone, without customers [DATA= MAPPING=fashion_product_images AS_OF= WAREHOUSE=]
	@$(AIRFLOW) -m scripts.catalogue $(call flag,data,DATA) $(call flag,as-of-date,AS_OF) $(call flag,warehouse,WAREHOUSE) \
		$(call flag,mapping,MAPPING)

up: setup ## start Airflow (with Data Docs), MLflow and the shop on 127.0.0.1; the forms offer what is given [WAREHOUSE= DATA= MAPPING= ENCODER= TARGET=]
	@$(call env,DATA,DATA) $(call env,MAPPING,MAPPING) $(call env,ENCODER,ENCODER) $(AIRFLOW) -m scripts.services up $(call flag,warehouse,WAREHOUSE)

shop: setup ## the shop window on 127.0.0.1:8000, after `make demo`; Ctrl+C ends it [WAREHOUSE= DATA= MAPPING= PORT=8000]
	@$(call env,WAREHOUSE,WAREHOUSE) $(call env,DATA,DATA) $(call env,MAPPING,MAPPING) \
		ATELIER_SHOP_BIND='127.0.0.1:$(or $(PORT),8000)' $(JOBS) -m app

down: ## stop what `make up` started
	@[ ! -x $(AIRFLOW) ] || $(AIRFLOW) -m scripts.services down

##@ Data

data: setup ## write H&M-shaped sample data and the shop's log, also of a sample of a shop's customers; STYLES: a catalogue [SCALE=1.0 CUSTOMERS= OUT=data/sample SEED= EVENT_DAYS=14 STYLES=2000]
	@$(JOBS) -m sample_data $(if $(STYLES),styles --articles '$(STYLES)',generate $(call flag,scale,SCALE) \
		$(call flag,customers,CUSTOMERS) $(call flag,event-days,EVENT_DAYS)) --out '$(OUT)' $(call flag,seed,SEED)

data-report: setup ## compare the moments of DATA with the real H&M data's [DATA=data/sample]
	@$(JOBS) -m sample_data report --data '$(or $(DATA),$(OUT))'

##@ Models

rollback: setup ## withdraw the champion of AS_OF: the one before it is champion again [AS_OF=2020-09-16 WAREHOUSE=]
	@$(JOBS) -m jobs.evaluation.rollback --as-of-date '$(AS_OF)' $(call flag,warehouse,WAREHOUSE)

# Each job takes what it needs of these.
BACKTEST = ATELIER_AS_OF_DATE='$(or $(AS_OF),2020-09-23)' ATELIER_BACKTEST_WEEKS='$(or $(WEEKS),12)' \
	$(call env,DATA,DATA) $(call env,WAREHOUSE,WAREHOUSE) $(call env,MAPPING,MAPPING) $(call env,ENCODER,ENCODER) \
	$(call env,TRAINING_WEEKS,TRAINING_WEEKS) $(call env,EXTRA_SOURCES,SOURCES)

backtest: setup ## walk through past weeks of an ingested warehouse, into docs/results/ [WEEKS=12 AS_OF= DATA= WAREHOUSE= ENCODER= TRAINING_WEEKS=auto SOURCES=als,gru]
	@for job in customers articles interactions; do $(BACKTEST) $(JOBS) -m jobs.features.$$job; done
	@for week in $$(seq '$(or $(WEEKS),12)'); do $(BACKTEST) $(JOBS) -m jobs.evaluation.backtest --backtest-week $$week; done
	@$(BACKTEST) $(JOBS) -m jobs.evaluation.backtest_report --write-docs true

learning-curve: setup ## samples of few and of many customers, each walked through week by week, into docs/results/ [FOLDER= CUSTOMERS="1000 5000 20000" WEEKS=12 EPOCHS=20]
	$(JOBS) -m benchmarks learning-curve --folder '$(or $(FOLDER),data/learning-curve)' $(call flag,customers,CUSTOMERS) \
		$(call flag,weeks,WEEKS) $(call flag,epochs,EPOCHS)

arrangement: setup ## what arranging the lists of the run a week before AS_OF costs and gains, into docs/results/ [AS_OF= WAREHOUSE= ENCODER=]
	@$(JOBS) -m jobs.evaluation.arrangement --as-of-date '$(or $(AS_OF),2020-09-23)' $(call flag,warehouse,WAREHOUSE) \
		$(call flag,encoder,ENCODER) --write-docs true

MODEL_SYSTEMS = ATELIER_AS_OF_DATE='$(or $(AS_OF),2020-09-23)' $(call env,DATA,DATA) $(call env,WAREHOUSE,WAREHOUSE) \
	$(call env,MAPPING,MAPPING) $(call env,ENCODER,ENCODER) $(call env,SYSTEM_EPOCHS,EPOCHS) \
	$(call env,TRAINING_WEEKS,TRAINING_WEEKS)

model-systems: setup ## judge recommender systems, into docs/results/ [SYSTEMS="als two_stage" AS_OF= DATA= WAREHOUSE= ENCODER= EPOCHS=10 TRAINING_WEEKS=auto]
	@$(MODEL_SYSTEMS) $(JOBS) -m jobs.features.keywords
	@failed=; for system in $(or $(SYSTEMS),$$($(JOBS) -c 'from jobs.recommenders.registry import SYSTEMS; print(*SYSTEMS)')); do for job in weekly_protocol next_purchase; do \
		$(MODEL_SYSTEMS) $(JOBS) -m jobs.evaluation.$$job --system $$system || failed="$$failed $$job:$$system"; done; done; \
		$(MODEL_SYSTEMS) $(JOBS) -m jobs.evaluation.recommender_report --write-docs true; \
		[ -z "$$failed" ] || { echo "failed:$$failed" >&2; exit 1; }

bought-together: setup ## what is bought together as of AS_OF, and how much of later baskets that finds, into docs/results/ [AS_OF= WAREHOUSE=]
	@$(JOBS) -m jobs.baskets.bought_together --as-of-date '$(or $(AS_OF),2020-09-23)' $(call flag,warehouse,WAREHOUSE)
	@$(JOBS) -m jobs.evaluation.basket_completion --as-of-date '$(or $(AS_OF),2020-09-23)' $(call flag,warehouse,WAREHOUSE) --write-docs true

conformance: setup ## where DATA is the complete real H&M files: counts and baselines beside the published ones [DATA= WAREHOUSE=]
	@$(JOBS) -m jobs.evaluation.conformance --as-of-date 2020-09-23 $(call flag,data,DATA) $(call flag,warehouse,WAREHOUSE)

##@ Test

test: lint unit integration ## lint, unit tests and the whole DAG through Airflow on a tiny sample

lint: setup ## ruff, mypy and the import contracts
	$(JOBS) -m ruff check .
	$(JOBS) -m ruff format --check .
	$(JOBS) -m mypy
	.venv/jobs/bin/lint-imports

unit: setup ## tests of DAG and services in Airflow's environment, then all others
	$(AIRFLOW) -m pytest tests/dags tests/scripts
	$(JOBS) -m pytest tests -n 2 --dist loadfile --ignore=tests/integration --ignore=tests/cluster --ignore=tests/connect

integration: setup ## the weekly DAG run by Airflow itself on a tiny sample, rerun and backfilled
	$(JOBS) -m pytest tests/integration

cluster-test: setup ## the Spark jobs on a standalone cluster and through Spark Connect, both started here: the same tables
	$(JOBS) -m pytest tests/cluster tests/connect

faults: setup ## damage a tiny shop in each known way, see what comes of it, into docs/reliability.md [ONLY='models']
	$(JOBS) -m tests.faults $(call flag,only,ONLY) --write-docs

##@ Benchmarks: each with its peer in the same run; results in docs/results/benchmarks.md

bench: setup ## lines a second of the sample data's generator
	$(JOBS) -m benchmarks sample-data

bench-clean-exits: setup ## processes that read a Delta table and exit: how many abort [PROCESSES=200]
	$(JOBS) -m benchmarks clean-exits $(call flag,processes,PROCESSES)

bench-features: setup ## feature tables from CSV beside DuckDB, Polars and plain PySpark [DATA= SCALE=1.0]
	$(JOBS) -m benchmarks features $(call flag,data,DATA) $(call flag,scale,SCALE)

bench-cluster: setup ## the feature stage on a Spark cluster of one worker, and of two [DATA= SCALE=1.0]
	$(JOBS) -m benchmarks cluster $(call flag,data,DATA) $(call flag,scale,SCALE)

bench-increments: setup ## the next week, and a year of snapshots, beside computing all anew [DATA= SCALE=1.0]
	$(JOBS) -m benchmarks increments $(call flag,data,DATA) $(call flag,scale,SCALE)

bench-upkeep: setup ## queries before and after housekeeping of the tables [SCALE=0.1]
	$(JOBS) -m benchmarks upkeep $(call flag,scale,SCALE)

bench-reports: setup ## business metrics of every week, and of the next one, beside DuckDB [DATA= SCALE=1.0]
	$(JOBS) -m benchmarks reports $(call flag,data,DATA) $(call flag,scale,SCALE)

bench-embeddings: setup ## images a second of the embedding job beside its bare encoder's [ENCODER=efficientnet_lite0 IMAGES=96 WIDTH=1166 HEIGHT=1750]
	$(JOBS) -m benchmarks embeddings $(call flag,encoder,ENCODER) $(call flag,images,IMAGES) $(call flag,width,WIDTH) \
		$(call flag,height,HEIGHT)

bench-events: setup ## the shop's log to tables beside DuckDB and Polars [EVENTS=30000000]
	$(JOBS) -m benchmarks events $(call flag,events,EVENTS)

bench-fashion-mnist: setup ## quality of autoencoder, Eigenfaces and pixels, into docs/results/ [DATA= EPOCHS=3]
	$(JOBS) -m benchmarks fashion-mnist $(call flag,data,DATA) $(call flag,epochs,EPOCHS)

bench-baskets: setup ## pairs bought together in twelve weeks beside Spark, a matrix product and mlxtend [DATA= SCALE=1.0]
	$(JOBS) -m benchmarks baskets $(call flag,data,DATA) $(call flag,scale,SCALE)

bench-collaborative: setup ## alternating least squares by Spark MLlib beside implicit [DATA= SCALE=0.02]
	$(JOBS) -m benchmarks collaborative $(call flag,data,DATA) $(call flag,scale,SCALE)

bench-sequences: setup ## sequences a second through Lightning beside the bare loop's, and everybody's top 100 [CUSTOMERS=2000]
	$(JOBS) -m benchmarks sequences $(call flag,customers,CUSTOMERS)

bench-tagging: setup ## articles a second of the tagger's training through Lightning beside the bare loop's [ARTICLES=35000]
	$(JOBS) -m benchmarks tagging $(call flag,articles,ARTICLES)

bench-training: setup ## examples a second through Lightning beside the bare loop's [PAIRS=400000]
	$(JOBS) -m benchmarks training $(call flag,pairs,PAIRS)

bench-search: setup ## search by words and picks by text at full size, into docs/results/ [ARTICLES=105542]
	$(JOBS) -m benchmarks search $(call flag,articles,ARTICLES)

bench-shop: setup ## pages of the shop window at full size beside Delta tables that are scanned [ARTICLES=105542 CUSTOMERS=1371980]
	$(JOBS) -m benchmarks shop $(call flag,articles,ARTICLES) $(call flag,customers,CUSTOMERS)

bench-two-tower: setup ## what each choice in the towers' training does, into docs/results/ [WAREHOUSE= AS_OF= DATA= WEEKS=6 SEEDS=2]
	$(JOBS) -m benchmarks two-tower --warehouse '$(or $(WAREHOUSE),warehouse)' --as-of '$(or $(AS_OF),2020-09-23)' \
		$(call flag,data,DATA) $(call flag,weeks,WEEKS) $(call flag,seeds,SEEDS)

bench-content: setup ## the two-stage model with pictures, texts or both, into docs/results/ [WAREHOUSE= AS_OF= DATA= WEEKS=10]
	$(JOBS) -m benchmarks content --warehouse '$(or $(WAREHOUSE),warehouse)' --as-of '$(or $(AS_OF),2020-09-23)' \
		$(call flag,data,DATA) $(call flag,weeks,WEEKS)

bench-scoring: setup ## candidates, ranking and table for every customer, the search beside faiss [DATA= SCALE=1.0 WAREHOUSE=]
	$(JOBS) -m benchmarks scoring $(call flag,data,DATA) $(call flag,scale,SCALE) $(call flag,warehouse,WAREHOUSE)

##@ Maintain

docs: setup ## regenerate docs/reference/ tables and settings, and dags/jobs.json
	$(JOBS) -m jobs.platform.data_dictionary
	$(JOBS) -m jobs.platform.dag_interface

lock: setup ## resolve requirements/*.in again into the hash-locked *.txt
	for name in uv airflow jobs; do .venv/uv/bin/uv pip compile --quiet --universal --python-version 3.11 \
		--generate-hashes --no-emit-index-url --no-header --no-annotate requirements/$$name.in -o requirements/$$name.txt; done

clean: down ## stop everything and remove environments, Airflow's home and caches (data and warehouse stay)
	rm -rf .venv .airflow .pytest_cache .mypy_cache .ruff_cache
