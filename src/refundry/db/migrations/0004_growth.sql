-- concurrently
-- What keeps lists and tables flat as they grow, made while the service writes.
-- docs/decisions/0023-growth.md tells what was measured.

-- Refunds of items, newest first. Where few refunds name articles, the planner would walk all of
-- them for an article; where many do, the index by article is the better one. Order-level refunds
-- pay nothing for it.
CREATE INDEX CONCURRENTLY refunds_itemized ON refunds (account_id, live, created_at, seq)
 WHERE cardinality(sku_ids) > 0;

-- A fifth of a large table's rows, which autovacuum waits for by default, are hours of refunds: by
-- then the table has grown for all the room that was not given back. These are looked at when a
-- fiftieth of them is dead. Statistics likewise: lists are planned by them.
ALTER TABLE orders SET (autovacuum_vacuum_scale_factor = 0.02,
      autovacuum_analyze_scale_factor = 0.02);
ALTER TABLE order_lines SET (autovacuum_vacuum_scale_factor = 0.02,
      autovacuum_analyze_scale_factor = 0.02);
ALTER TABLE refunds SET (autovacuum_vacuum_scale_factor = 0.02,
      autovacuum_analyze_scale_factor = 0.02);
ALTER TABLE refund_parts SET (autovacuum_vacuum_scale_factor = 0.02, fillfactor = 80);
ALTER TABLE charge_operations SET (autovacuum_vacuum_scale_factor = 0.02);
ALTER TABLE deliveries SET (autovacuum_vacuum_scale_factor = 0.02);
-- Rows that are written once and deleted in bulk: the room of what went is used again sooner.
ALTER TABLE idempotency_keys SET (autovacuum_vacuum_scale_factor = 0.05, fillfactor = 80);
ALTER TABLE attempts SET (autovacuum_vacuum_scale_factor = 0.05);
ALTER TABLE events SET (autovacuum_vacuum_scale_factor = 0.05);
