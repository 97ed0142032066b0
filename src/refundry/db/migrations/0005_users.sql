-- People who sign in to the dashboard, what they may do, and what was done by whom.

-- An email address signs in without naming an account, so it belongs to one user of the whole
-- installation. docs/decisions/0024-people-sign-in-with-passwords.md tells the rest.
CREATE TABLE users (
    account_id          text NOT NULL REFERENCES accounts,
    id                  text NOT NULL,
    created_at          timestamptz NOT NULL,
    email               text NOT NULL CHECK (email ~ '^[^@[:space:]]+@[^@[:space:]]+$'),
    name                text NOT NULL CHECK (name ~ '[^[:space:]]'),
    type                text NOT NULL CHECK (type IN ('client', 'partner')),
    role                text NOT NULL CHECK (role IN ('administrator', 'developer',
                            'customer_service', 'user_manager', 'finance_manager')),
    -- Locked out is no state of its own: locked_until says it, and ends by itself.
    status              text NOT NULL CHECK (status IN ('staged', 'provisioned', 'active',
                            'recovery', 'password_expired', 'suspended', 'deprovisioned')),
    password_hash       text CHECK (password_hash LIKE '$argon2id$%'),
    totp_sealed         bytea,
    totp_on             boolean NOT NULL DEFAULT false,
    -- The 30 seconds, counted from 1970, of the last code that was taken: none counts twice.
    totp_step           bigint,
    failed_at           timestamptz[] NOT NULL DEFAULT '{}' CHECK (cardinality(failed_at) < 5),
    locked_until        timestamptz,
    last_sign_in_at     timestamptz,
    PRIMARY KEY (account_id, id),
    CONSTRAINT users_active_have_a_password CHECK (status <> 'active' OR password_hash IS NOT NULL),
    CONSTRAINT users_codes_have_a_secret CHECK (NOT totp_on OR totp_sealed IS NOT NULL),
    CONSTRAINT users_who_are_gone_hold_no_secrets CHECK (
        status <> 'deprovisioned' OR (password_hash IS NULL AND totp_sealed IS NULL))
);

-- Who is gone leaves the address to others.
CREATE UNIQUE INDEX users_email ON users (lower(email)) WHERE status <> 'deprovisioned';

-- Members of the one permission set there is; the code gives it its name.
CREATE TABLE permission_set_members (
    account_id          text NOT NULL,
    permission_set      text NOT NULL CHECK (permission_set = 'refunds'),
    user_id             text NOT NULL,
    added_at            timestamptz NOT NULL,
    PRIMARY KEY (account_id, permission_set, user_id),
    FOREIGN KEY (account_id, user_id) REFERENCES users
);

CREATE TABLE sessions (
    token_hash          bytea PRIMARY KEY CHECK (octet_length(token_hash) = 32),
    account_id          text NOT NULL,
    user_id             text NOT NULL,
    -- The mode whose data the pages show.
    live                boolean NOT NULL,
    created_at          timestamptz NOT NULL,
    last_seen_at        timestamptz NOT NULL,
    -- When the password was last given, at the sign-in or again.
    authenticated_at    timestamptz NOT NULL,
    FOREIGN KEY (account_id, user_id) REFERENCES users
);

CREATE INDEX sessions_of_user ON sessions (account_id, user_id);

-- The one link of a user that sets a password. It goes when it is used.
CREATE TABLE password_links (
    account_id          text NOT NULL,
    user_id             text NOT NULL,
    token_hash          bytea NOT NULL UNIQUE CHECK (octet_length(token_hash) = 32),
    created_at          timestamptz NOT NULL,
    expires_at          timestamptz NOT NULL,
    PRIMARY KEY (account_id, user_id),
    FOREIGN KEY (account_id, user_id) REFERENCES users,
    CHECK (expires_at > created_at)
);

-- Forms that were submitted: the same form again leads to what came of it the first time.
CREATE TABLE form_tokens (
    account_id          text NOT NULL,
    user_id             text NOT NULL,
    token_hash          bytea NOT NULL CHECK (octet_length(token_hash) = 32),
    used_at             timestamptz NOT NULL,
    -- Where the result is shown; none yet while the work goes on.
    location            text CHECK (location LIKE '/%'),
    PRIMARY KEY (account_id, user_id, token_hash),
    FOREIGN KEY (account_id, user_id) REFERENCES users
);

CREATE TABLE audit_log (
    account_id          text NOT NULL REFERENCES accounts,
    seq                 bigint GENERATED ALWAYS AS IDENTITY,
    at                  timestamptz NOT NULL,
    actor_kind          text NOT NULL CHECK (actor_kind IN ('user', 'key', 'command', 'system')),
    actor_id            text CHECK ((actor_id IS NOT NULL) = (actor_kind IN ('user', 'key'))),
    -- As it was then: names change, and people go.
    actor_name          text NOT NULL,
    -- NULL: of the account as a whole.
    live                boolean,
    action              text NOT NULL,
    object_type         text NOT NULL,
    object_id           text NOT NULL,
    before              jsonb,
    after               jsonb,
    PRIMARY KEY (account_id, seq)
);

CREATE INDEX audit_log_of_object ON audit_log (account_id, object_type, object_id, seq);
CREATE INDEX audit_log_by_time ON audit_log (account_id, at);

-- Whom `refundry init` named become users who have not set a password yet. One address that
-- administers several accounts becomes the user of the first of them.
INSERT INTO users (account_id, id, created_at, email, name, type, role, status)
SELECT DISTINCT ON (lower(email)) account_id, 'usr_' || gen_random_uuid(), invited_at, email,
       split_part(email, '@', 1), 'client', 'administrator', 'staged'
  FROM administrators
 WHERE email ~ '^[^@[:space:]]+@[^@[:space:]]+$'
 ORDER BY lower(email), invited_at, account_id;

DROP TABLE administrators;
