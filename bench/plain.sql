-- A refund for pgbench in the form that costs PostgreSQL least: no arrays of requests, what never
-- differs as a constant. It reads and writes the same rows as the service does.
SELECT o.currency, o.state, o.created_at, o.updated_at, o.version, o.event_sequence,
       o.last_event_at, o.invoice_id,
       ARRAY(SELECT (l.position, l.id, l.sku_id, l.quantity, l.captured::text, l.held::text,
                     l.refunded::text, l.captured_units)
               FROM order_lines l
              WHERE l.account_id = o.account_id AND l.live = o.live AND l.order_id = o.id
              ORDER BY l.position) AS lines
  FROM orders o
 WHERE o.account_id = :account_id AND NOT o.live AND o.id = :order_id
\gset
WITH bumped AS (
    UPDATE orders
       SET version = version + 1, event_sequence = event_sequence + 2, last_event_at = now(),
           updated_at = now()
     WHERE account_id = :account_id AND NOT live AND id = :order_id AND version = :version
    RETURNING 1
), lines AS (
    UPDATE order_lines l SET held = n.held::bigint[]
      FROM unnest(:held_lines::smallint[], :held::text[]) AS n (position, held), bumped
     WHERE l.account_id = :account_id AND NOT l.live AND l.order_id = :order_id
       AND l.position = n.position
), refund AS (
    INSERT INTO refunds (account_id, live, order_id, id, created_at, currency, exponent,
        amount_minor, share_lines, shares, submit_due_at)
    SELECT :account_id, false, :order_id, 're_' || gen_random_uuid(), now(), 'USD', 2,
           :amount_minor, :share_lines::smallint[], :shares::bigint[], now()
      FROM bumped
), written AS (
    INSERT INTO events (account_id, live, order_id, order_sequence, id, type, object, created_at)
    SELECT :account_id, false, :order_id, :event_sequence + e.place, gen_random_uuid()::text,
           e.type, :object, now() + e.place * interval '1 microsecond'
      FROM bumped, unnest(ARRAY['refund.created', 'refund.pending'])
                   WITH ORDINALITY AS e (type, place)
     ORDER BY e.place
)
SELECT count(*) FROM bumped;
