"""What a pipeline folder and a provider file may say. Meaning: ``records`` (decoding), ``pagination``, ``plan``.

A pipeline is an ordered list of steps, each of which fills one table:

* ``ingest``    what a source says (an API, a query, files of a manifest, a seed) becomes rows of a raw table;
* ``transform`` SQL over logical tables becomes rows of a silver or gold table;
* ``compute``   query results go through one function of the engine and become rows of a table;
* ``union``     a table which other pipelines' transforms contribute to (``contributes_to``).
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from platform_assets.engine.spec import Spec

Identifier = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,127}$")]
LogicalTable = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*\.[A-Za-z_][A-Za-z0-9_]*$")]

# --- Provider ---------------------------------------------------------------------------------------------------


class BearerAuth(Spec):
    """``Authorization: Bearer <secret>``."""

    type: Literal["bearer"]


class HeaderAuth(Spec):
    """``<header>: <prefix><secret>``."""

    type: Literal["header"]
    header: str
    prefix: str = ""


class QueryAuth(Spec):
    """``?<param>=<secret>``."""

    type: Literal["query"]
    param: str


class BasicAuth(Spec):
    """HTTP basic; the secret holds ``user:password``, or ``username`` is given here and the secret is the password."""

    type: Literal["basic"]
    username: str | None = None


class OAuth2Auth(Spec):
    """Client credentials; the secret holds ``client_id:client_secret``. The token URL may be another host."""

    type: Literal["oauth2_client_credentials"]
    token_url: str
    scope: str | None = None


class GoogleAuth(Spec):
    """A Google service account; the secret is its JSON key, exchanged for short-lived tokens (RFC 7523)."""

    type: Literal["google_service_account"]
    scopes: Annotated[list[str], Field(min_length=1)] = [
        "https://www.googleapis.com/auth/cloud-platform.read-only"
    ]
    token_url: str = "https://oauth2.googleapis.com/token"  # noqa: S105 (an address)


class NoAuth(Spec):
    """A public source."""

    type: Literal["none"]


Auth = Annotated[
    BearerAuth | HeaderAuth | QueryAuth | BasicAuth | OAuth2Auth | GoogleAuth | NoAuth,
    Field(discriminator="type"),
]


class RateLimit(Spec):
    requests_per_minute: Annotated[int, Field(ge=1)] = 60


class Retry(Spec):
    """Attempts for 429, 5xx and lost connections; the wait doubles, ``Retry-After`` wins, both capped."""

    max_attempts: Annotated[int, Field(ge=1, le=10)] = 4
    initial_seconds: Annotated[float, Field(ge=0)] = 1.0
    max_wait_seconds: Annotated[float, Field(ge=0, le=600)] = 120.0


class ProviderSpec(Spec):
    """``configs/providers/<provider>.yml``: where an API lives and how one authenticates."""

    provider: Identifier
    display_name: str
    base_url: str
    auth: Auth
    headers: dict[str, str] = {}
    rate_limit: RateLimit = RateLimit()
    retry: Retry = Retry()
    timeout_seconds: Annotated[float, Field(ge=1, le=300)] = 30.0


# --- Pagination -------------------------------------------------------------------------------------------------


class NoPagination(Spec):
    type: Literal["none"]


class TokenPagination(Spec):
    """The answer names the next page: its ``token_path`` goes into query parameter ``param``, or into the body of a
    POST that has one.

    ``cursor`` and ``page_token`` mean the same; both are accepted because vendors use both words.
    ``has_more_path`` true without a token, or a token seen before, is an error.
    """

    type: Literal["cursor", "page_token"]
    param: str
    token_path: str
    has_more_path: str | None = None


class OffsetPagination(Spec):
    """``offset``/``limit``; ends at a page shorter than ``page_size``, or at ``total_path`` where given."""

    type: Literal["offset"]
    param: str = "offset"
    size_param: str | None = "limit"
    page_size: Annotated[int, Field(ge=1, le=10_000)] = 100
    total_path: str | None = None


class PageNumberPagination(Spec):
    """``page=1,2,…``; ends at a page shorter than ``page_size``, or at ``total_pages_path`` where given."""

    type: Literal["page_number"]
    param: str = "page"
    first: int = 1
    size_param: str | None = None
    page_size: Annotated[int, Field(ge=1, le=10_000)] = 100
    total_pages_path: str | None = None


class LinkPagination(Spec):
    """Next URL from the ``Link: <…>; rel="next"`` header, or from ``next_path`` in the body; same host only."""

    type: Literal["link"]
    next_path: str | None = None


Pagination = Annotated[
    NoPagination | TokenPagination | OffsetPagination | PageNumberPagination | LinkPagination,
    Field(discriminator="type"),
]

# --- Steps ------------------------------------------------------------------------------------------------------

ParamValue = str | int | bool | list[str]


class RestSource(Spec):
    """One GET (or POST) per page. Strings are Jinja templates over the slice's variables:
    ``run_date next_date`` (ISO), ``…_unix``, ``…_rfc3339``, ``month_start month_end tenant credential`` and
    ``parameters.<name>`` from the tenant's credential.

    ``records_path`` walks to the records, ``[]`` meaning "each element of": ``data[].results[]``.
    ``columns`` maps table columns to paths inside a record; ``$.data[].start_time`` starts at the page and may
    look at the elements that enclose the record. Columns not mapped take the field of their own name.
    Fields of a record that no column takes are kept in ``x_extra`` (JSON) where the table has that column;
    ``ignore`` names those which are known and not wanted. ``decoder`` names a file of ``ingestion/decoders``
    that rearranges a page first, for payloads which no path can describe.
    """

    type: Literal["rest_api"]
    path: str
    method: Literal["GET", "POST"] = "GET"
    params: dict[str, ParamValue] = {}
    array_style: Literal["brackets", "repeat", "comma"] = "brackets"
    headers: dict[str, str] = {}
    body: dict[str, ParamValue] | None = None
    pagination: Pagination = NoPagination(type="none")
    records_path: str
    columns: dict[Identifier, str] = {}
    ignore: list[str] = []
    decoder: Identifier | None = None
    max_pages: Annotated[int, Field(ge=1)] = 10_000

    @model_validator(mode="after")
    def _body_needs_a_post(self) -> Self:
        if self.body is not None and self.method == "GET":
            raise ValueError("a GET has no body; set method: POST")
        return self


class SqlSource(Spec):
    """One query on tables of another system (a billing export), run there with the credential's rights.

    ``sql_file`` is one SELECT in BigQuery dialect over ``source.<name>``; ``tables`` gives each name's real table
    as a template (``"{{ parameters.billing_table }}"`` → ``project.dataset.table``, ``*`` allowed at its end).
    Bound parameters: ``@run_date @next_date @month_start @month_end``. Columns are matched by name and converted
    exactly; those of the source that no column takes are counted, except the ones in ``ignore``.
    """

    type: Literal["sql"]
    sql_file: str
    tables: Annotated[dict[Identifier, str], Field(min_length=1)]
    ignore: list[str] = []
    maximum_bytes_billed: Annotated[int, Field(ge=10_485_760)] = 100 * 2**30


class ObjectStoreSource(Spec):
    """Files that a manifest lists, read from a bucket with the credential's rights (AWS data exports).

    ``manifests`` is the prefix (a template) below which the manifests of one slice stand, ``manifest_suffix`` how
    they end; of several executions the newest counts. Files are never found by listing. ``columns`` maps table
    columns to the file's names, which otherwise are the same.
    """

    type: Literal["object_store"]
    bucket: str
    manifests: str
    manifest_suffix: str = "-Manifest.json"
    format: Literal["csv", "parquet"]
    columns: dict[Identifier, str] = {}
    ignore: list[str] = []


class SeedSource(Spec):
    """A reviewed CSV file below the pipeline's folder; ``file`` is a template. Where it reads ``parameters``, only
    tenants with a credential for the provider run the pipeline.

    A file that is not there means no rows where ``optional``, and is an error otherwise.
    """

    type: Literal["seed"]
    file: str
    optional: bool = False


Source = Annotated[RestSource | SqlSource | ObjectStoreSource | SeedSource, Field(discriminator="type")]
Grain = Literal["day", "month"]


class Measure(Spec):
    """The amount people look at: its sum per currency and, by a dimension, a small chart on every
    materialization."""

    column: Identifier
    currency: Identifier | None = None
    by: Identifier | None = None


class Destination(Spec):
    """The table a step fills and how. ``replace`` swaps exactly the slice; ``merge`` needs the business keys;
    ``append`` needs the idempotency key."""

    table: LogicalTable
    schema_file: str
    write: Literal["replace", "merge", "append"] = "replace"
    keys: list[Identifier] = []
    partition_field: Identifier = "ingestion_date"
    partition_granularity: Literal["DAY", "MONTH"] = "DAY"
    partition_expiration_days: Annotated[int, Field(ge=1)] | None = None
    cluster_by: Annotated[list[Identifier], Field(max_length=4)] = []
    measure: Measure | None = None
    description: str = ""


class IngestStep(Spec):
    """``grain: month`` means that the slice is the whole month of the run date (a billing period that its source
    rewrites as a whole), pulled once however many of its days are asked for."""

    step_id: Identifier
    type: Literal["ingest"]
    description: str = ""
    source: Source
    destination: Destination
    grain: Grain = "day"


class TransformStep(Spec):
    """``sql_file`` in BigQuery dialect over logical tables. Bound parameters: ``@run_date @next_date @month_start
    @month_end`` (DATE), ``@tenant @pipeline`` (STRING), ``@fiscal_year_start_month`` (INT64).

    Either fills its own ``destination``, or contributes its pipeline's rows to another pipeline's union table.
    ``grain: month`` means that the slice is the whole month of the run date, computed once however many of its
    days are asked for.
    """

    step_id: Identifier
    type: Literal["transform"]
    description: str = ""
    sql_file: str
    destination: Destination | None = None
    contributes_to: LogicalTable | None = None
    grain: Grain = "day"


class ComputeStep(Spec):
    """What SQL cannot say exactly: ``function`` names a function of ``engine.costs.functions``, ``inputs`` the
    queries (like a transform's) whose results it gets by name. Its rows fill ``destination``."""

    step_id: Identifier
    type: Literal["compute"]
    description: str = ""
    function: Identifier
    inputs: dict[Identifier, str] = {}
    destination: Destination
    grain: Grain = "day"


class UnionStep(Spec):
    step_id: Identifier
    type: Literal["union"]
    description: str = ""
    destination: Destination


Step = Annotated[IngestStep | TransformStep | ComputeStep | UnionStep, Field(discriminator="type")]


class Schedule(Spec):
    """Cron in a timezone. A tick asks for the last ``lookback_days`` + 1 complete days of every tenant.

    ``jitter_minutes`` spreads the tenants over so many minutes after it. Of runs that wait, those of higher
    ``priority`` begin first. ``catch_up_days``: of so many days, what a missed tick left out is asked for later.
    """

    cron: str
    timezone: str = "UTC"
    enabled: bool = True
    jitter_minutes: Annotated[int, Field(ge=0, le=59)] = 0
    priority: Annotated[int, Field(ge=-100, le=100)] = 0
    catch_up_days: Annotated[int, Field(ge=0, le=366)] = 0


class RunRetry(Spec):
    """What is done about a scheduled run's slices that failed for a passing reason: ``max_attempts`` in all, the
    second after ``backoff_seconds``, each further one after twice as long, at most ``max_backoff_seconds``."""

    max_attempts: Annotated[int, Field(ge=1, le=10)] = 3
    backoff_seconds: Annotated[int, Field(ge=1, le=3600)] = 60
    max_backoff_seconds: Annotated[int, Field(ge=1, le=86_400)] = 3600


class PipelineSpec(Spec):
    """``pipeline.yml``. Its folder holds everything it refers to.

    ``timeout_minutes``: a scheduled run that takes longer is ended, and told as TIMEOUT.
    ``closes_after_days``: so many days after a month's end its source closes it, and ticks leave it alone.
    """

    pipeline_id: Identifier
    description: str = ""
    provider: Identifier
    domain: Identifier
    schedule: Schedule | None = None
    retry: RunRetry = RunRetry()
    timeout_minutes: Annotated[int, Field(ge=1, le=1440)] | None = None
    lookback_days: Annotated[int, Field(ge=0, le=366)] = 0
    closes_after_days: Annotated[int, Field(ge=0, le=366)] | None = None
    tags: dict[str, str] = {}
    owners: list[str] = []
    steps: Annotated[list[Step], Field(min_length=1)]
