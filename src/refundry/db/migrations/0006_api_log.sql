-- Every call of the API, for as long as `refundry retain` leaves it. Written in batches, beside the
-- requests; docs/decisions/0026-api-log.md tells why it has so few indexes.
CREATE TABLE api_log (
    account_id          text NOT NULL,
    live                boolean NOT NULL,
    -- A UUID of version 7: its order is that of the calls, so one index gives the page of a list,
    -- a range of dates, a record by id and what is old.
    id                  uuid NOT NULL,
    called_at           timestamptz NOT NULL,
    duration_ms         real NOT NULL,
    -- NULL where a refund token or a signature took the place of a key.
    key_id              text,
    key_name            text,
    key_kind            text,
    method              text NOT NULL,
    -- The path without what it holds of an object, so that a list can be told to look for few.
    collection          text NOT NULL,
    path                text NOT NULL,
    query               text,
    status              smallint NOT NULL,
    error_code          text,
    error_message       text,
    replayed            boolean NOT NULL,
    -- Masked and cut, so not always JSON.
    request_body        text,
    answer_body         text,
    upstream_id         text,
    application         text,
    application_version text,
    session_id          text,
    shopper_address     text,
    request_id          text NOT NULL,
    -- What the call made, changed or read; of a refused POST the order that it named.
    resource_id         text,
    PRIMARY KEY (account_id, live, id)
);

-- Each index on what every call has costs each call 2 µs, so only this one is there: it leads from a
-- refund to the call that made it. The partial ones cost those calls that they hold.
CREATE INDEX api_log_by_resource ON api_log (account_id, live, resource_id, id)
 WHERE resource_id IS NOT NULL;
CREATE INDEX api_log_refused ON api_log (account_id, live, id) WHERE status >= 400;
CREATE INDEX api_log_failed ON api_log (account_id, live, id) WHERE status >= 500;
CREATE INDEX api_log_by_upstream ON api_log (account_id, live, upstream_id, id)
 WHERE upstream_id IS NOT NULL;
CREATE INDEX api_log_by_application ON api_log (account_id, live, application, id)
 WHERE application IS NOT NULL;
CREATE INDEX api_log_by_session ON api_log (account_id, live, session_id, id)
 WHERE session_id IS NOT NULL;
CREATE INDEX api_log_by_shopper ON api_log (account_id, live, shopper_address, id)
 WHERE shopper_address IS NOT NULL;
-- What is frequent is found by reading backwards; what is rare by these, which hold a few bytes for
-- each hundred pages. A page range has few different values of each.
CREATE INDEX api_log_seldom ON api_log USING brin
    (key_name text_bloom_ops (n_distinct_per_range = 32),
     method text_bloom_ops (n_distinct_per_range = 16),
     collection text_bloom_ops (n_distinct_per_range = 32))
  WITH (pages_per_range = 128, autosummarize = on);

-- Rows are only added and deleted, so vacuum has work only where `refundry retain` has been; what it
-- must keep up with is the summary of new pages.
ALTER TABLE api_log SET (autovacuum_vacuum_insert_scale_factor = 0.05);
