-- What pages show of keys, and the sample events that webhooks are tried with.

-- Of keys that were made before, only the hash is known: they show nothing until they are rotated.
-- A public key is no secret.
ALTER TABLE api_keys
      ADD COLUMN last_four text CHECK (char_length(last_four) = 4),
      ADD COLUMN public_text text,
      ADD CONSTRAINT only_public_keys_are_kept CHECK (public_text IS NULL OR kind = 'public');

-- The type of a sample event that a person sent to try an endpoint: it is in no log of events, and
-- its delivery is over when it is written.
ALTER TABLE deliveries
      ADD COLUMN sample_type text,
      ADD CONSTRAINT samples_are_sent_once CHECK (sample_type IS NULL OR due_at IS NULL);
