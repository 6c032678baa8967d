PRAGMA foreign_keys=OFF;
BEGIN TRANSACTION;
CREATE TABLE IF NOT EXISTS "caravel_migrations" (
  migration_id integer PRIMARY KEY NOT NULL,
  created_at datetime NOT NULL DEFAULT current_timestamp,
  name VARCHAR(255) NOT NULL
);
INSERT INTO caravel_migrations VALUES(1,'2026-11-23 11:08:15','journal');
INSERT INTO caravel_migrations VALUES(2,'2026-11-23 20:40:00','consumer');
INSERT INTO caravel_migrations VALUES(3,'2026-11-23 22:14:48','schema_version');
INSERT INTO caravel_migrations VALUES(4,'2026-11-23 22:25:00','idempotency');
INSERT INTO caravel_migrations VALUES(5,'2026-11-24 02:21:33','epoch');
INSERT INTO caravel_migrations VALUES(6,'2026-11-24 03:03:55','secret_key');
INSERT INTO caravel_migrations VALUES(7,'2026-11-24 03:03:55','import');
INSERT INTO caravel_migrations VALUES(8,'2026-11-28 17:17:35','in_epoch');
INSERT INTO caravel_migrations VALUES(9,'2026-11-30 19:06:56','latest_at');
CREATE TABLE IF NOT EXISTS "caravel_event" (
    position INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    type TEXT NOT NULL,
    activity_type TEXT,
    tenant TEXT NOT NULL,
    resource_type TEXT NOT NULL CHECK (resource_type IN ('tenant', 'relay')),
    resource_id TEXT NOT NULL,
    resource_version INTEGER NOT NULL CHECK (resource_version > 0),
    payload TEXT NOT NULL CHECK (json_valid(payload)),
    metadata TEXT NOT NULL CHECK (json_valid(metadata)),
    created_at INTEGER NOT NULL, schema_version INTEGER NOT NULL DEFAULT 1 CHECK (schema_version > 0), latest_at INTEGER,
    UNIQUE (resource_id, resource_type, resource_version)
  ) STRICT;
INSERT INTO caravel_event VALUES(1,'01a20817-9f5e-75be-8c41-e650131896aa','TenantCreated','create_tenant','aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa','tenant','aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa',1,'{"nwcUrl":"01a20817-9f5e-75be-8c41-e650131896aa","nwcError":null,"stripeCustomerId":"cus_1","stripeSubscriptionId":null,"pastDueAt":null}','{}',1795432095582,1,NULL);
INSERT INTO caravel_event VALUES(2,'01a20817-9f68-7ede-853d-460b15300f83','RelayCreated','create_relay','aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa','relay','a',1,'{"subdomain":"a","plan":"free","infoName":"","infoIcon":"","infoDescription":"","policyPublicJoin":false,"policyStripSignatures":false,"groupsEnabled":true,"managementEnabled":false,"blossomEnabled":false,"livekitEnabled":false,"pushEnabled":false,"status":"active","synced":false,"syncError":"","stripeSubscriptionItemId":null}','{}',1795432095592,1,NULL);
INSERT INTO caravel_event VALUES(3,'01a20817-9f6f-7006-b1b0-aeda64cd4308','TenantPastDueSet',NULL,'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa','tenant','aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa',2,'{"pastDueAt":"2026-11-23T11:08:15.599Z"}','{}',1795432095599,1,NULL);
INSERT INTO caravel_event VALUES(4,'01a20817-9f73-77ea-b608-f816ad1b3667','RelayMarkedDelinquent','deactivate_relay','aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa','relay','a',2,'{"status":"delinquent"}','{"actor":"billing","correlationId":"invoice-7"}',1795432095603,1,NULL);
CREATE TABLE IF NOT EXISTS "caravel_secret" (
    id TEXT PRIMARY KEY,
    value TEXT NOT NULL
  , key_id TEXT) STRICT, WITHOUT ROWID;
INSERT INTO caravel_secret VALUES('01a20817-9f5e-75be-8c41-e650131896aa','nostr+walletconnect://frozen',NULL);
CREATE TABLE IF NOT EXISTS "caravel_tenant" (
    pubkey TEXT PRIMARY KEY,
    nwc_url TEXT REFERENCES "caravel_secret" (id),
    nwc_error TEXT,
    stripe_customer_id TEXT,
    stripe_subscription_id TEXT,
    past_due_at INTEGER,
    created_at INTEGER NOT NULL,
    version INTEGER NOT NULL CHECK (version > 0)
  ) STRICT, WITHOUT ROWID;
INSERT INTO caravel_tenant VALUES('aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa','01a20817-9f5e-75be-8c41-e650131896aa',NULL,'cus_1',NULL,1795432095599,1795432095582,2);
CREATE TABLE IF NOT EXISTS "caravel_relay" (
    id TEXT PRIMARY KEY,
    tenant TEXT NOT NULL REFERENCES "caravel_tenant" (pubkey),
    subdomain TEXT NOT NULL UNIQUE,
    plan TEXT NOT NULL,
    info_name TEXT NOT NULL,
    info_icon TEXT NOT NULL,
    info_description TEXT NOT NULL,
    policy_public_join INTEGER NOT NULL CHECK (policy_public_join IN (0, 1)),
    policy_strip_signatures INTEGER NOT NULL CHECK (policy_strip_signatures IN (0, 1)),
    groups_enabled INTEGER NOT NULL CHECK (groups_enabled IN (0, 1)),
    management_enabled INTEGER NOT NULL CHECK (management_enabled IN (0, 1)),
    blossom_enabled INTEGER NOT NULL CHECK (blossom_enabled IN (0, 1)),
    livekit_enabled INTEGER NOT NULL CHECK (livekit_enabled IN (0, 1)),
    push_enabled INTEGER NOT NULL CHECK (push_enabled IN (0, 1)),
    status TEXT NOT NULL CHECK (status IN ('active', 'inactive', 'delinquent')),
    synced INTEGER NOT NULL CHECK (synced IN (0, 1)),
    sync_error TEXT NOT NULL,
    stripe_subscription_item_id TEXT,
    created_at INTEGER NOT NULL,
    version INTEGER NOT NULL CHECK (version > 0)
  ) STRICT, WITHOUT ROWID;
INSERT INTO caravel_relay VALUES('a','aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa','a','free','','','',0,0,1,0,0,0,0,'delinquent',0,'',NULL,1795432095592,2);
CREATE TABLE IF NOT EXISTS "caravel_consumer" (
    name TEXT PRIMARY KEY,
    position INTEGER NOT NULL CHECK (position >= 0),
    filter TEXT NOT NULL CHECK (json_valid(filter)),
    attempts INTEGER NOT NULL CHECK (attempts >= 0),
    failed_position INTEGER,
    last_error TEXT,
    progressed_at INTEGER,
    replays_requested INTEGER NOT NULL DEFAULT 0,
    replays_done INTEGER NOT NULL DEFAULT 0
  , epoch TEXT REFERENCES "caravel_epoch" (epoch)) STRICT, WITHOUT ROWID;
INSERT INTO caravel_consumer VALUES('billing',2,'{"activityType":["create_relay","deactivate_relay"]}',1,4,'Error: no',1795432095603,2,1,'778a07d0-310e-4356-a43e-90c171f2d9f8');
CREATE TABLE IF NOT EXISTS "caravel_lease" (
    consumer TEXT NOT NULL REFERENCES "caravel_consumer" (name),
    task TEXT NOT NULL CHECK (task IN ('run', 'replay')),
    fence INTEGER NOT NULL,
    heartbeat INTEGER NOT NULL,
    owner TEXT,
    PRIMARY KEY (consumer, task)
  ) STRICT, WITHOUT ROWID;
INSERT INTO caravel_lease VALUES('billing','replay',1,0,NULL);
INSERT INTO caravel_lease VALUES('billing','run',4,17,NULL);
CREATE TABLE IF NOT EXISTS "caravel_parked" (
    consumer TEXT NOT NULL REFERENCES "caravel_consumer" (name),
    position INTEGER NOT NULL REFERENCES "caravel_event" (position),
    resource_type TEXT NOT NULL CHECK (resource_type IN ('tenant', 'relay')),
    resource_id TEXT NOT NULL,
    attempts INTEGER NOT NULL CHECK (attempts >= 0),
    error TEXT,
    parked_at INTEGER NOT NULL,
    PRIMARY KEY (consumer, position)
  ) STRICT, WITHOUT ROWID;
INSERT INTO caravel_parked VALUES('billing',2,'relay','a',6,'Error: no',1795432095603);
CREATE TABLE IF NOT EXISTS "caravel_idempotency" (
    id TEXT PRIMARY KEY,
    identity TEXT NOT NULL,
    position INTEGER REFERENCES "caravel_event" (position),
    events INTEGER NOT NULL CHECK (events >= 0),
    refusal TEXT CHECK (refusal IS NULL OR json_valid(refusal)),
    created_at INTEGER NOT NULL,
    CHECK ((position IS NULL) = (refusal IS NOT NULL))
  ) STRICT, WITHOUT ROWID;
INSERT INTO caravel_idempotency VALUES('WljlviRJ3ZtTpLN9ih6DFL3xHLTEmb0Vn-afoB0YLaQ','F_m_cqwHvcCp-j1vYO5WM-C-X56AoDXc-5e-CSMVaKE',4,1,NULL,1795432095603);
CREATE TABLE IF NOT EXISTS "caravel_epoch" (
    number INTEGER PRIMARY KEY,
    epoch TEXT NOT NULL UNIQUE,
    position INTEGER NOT NULL CHECK (position >= 0),
    started_at INTEGER NOT NULL
  ) STRICT;
INSERT INTO caravel_epoch VALUES(1,'778a07d0-310e-4356-a43e-90c171f2d9f8',0,1795486893732);
INSERT INTO caravel_epoch VALUES(2,'6477f245-d42c-4290-97b3-59dfcb61b81e',4,1795486894222);
CREATE TABLE IF NOT EXISTS "caravel_import" (
    id TEXT PRIMARY KEY,
    source TEXT NOT NULL,
    items INTEGER NOT NULL CHECK (items >= 0),
    activities INTEGER NOT NULL,
    tenants INTEGER NOT NULL,
    relays INTEGER NOT NULL,
    refused INTEGER NOT NULL,
    renamed INTEGER NOT NULL,
    events INTEGER NOT NULL,
    started_at INTEGER NOT NULL,
    finished_at INTEGER
  ) STRICT, WITHOUT ROWID;
INSERT INTO caravel_import VALUES('6bac7521e500024d3fc6998a389a19bbcc61c472f7a1b769512b36ab7513dca4','/old.db',1,0,0,0,1,0,0,1795489435455,1795489435458);
CREATE TABLE IF NOT EXISTS "caravel_import_refusal" (
    import TEXT NOT NULL REFERENCES "caravel_import" (id),
    item INTEGER NOT NULL,
    table_name TEXT NOT NULL CHECK (table_name IN ('tenant', 'relay', 'activity')),
    key TEXT NOT NULL,
    kind TEXT NOT NULL,
    reason TEXT NOT NULL,
    PRIMARY KEY (import, item)
  ) STRICT, WITHOUT ROWID;
INSERT INTO caravel_import_refusal VALUES('6bac7521e500024d3fc6998a389a19bbcc61c472f7a1b769512b36ab7513dca4',1,'tenant','not a key','malformed','pubkey: Expected a public key of 64 lower-case hex characters, got "not a key"');
DELETE FROM sqlite_sequence;
INSERT INTO sqlite_sequence VALUES('caravel_event',4);
CREATE VIEW caravel_activity AS
    SELECT position, id, tenant, created_at, activity_type, resource_type, resource_id
    FROM caravel_event WHERE activity_type IS NOT NULL;
CREATE INDEX caravel_tenant_nwc_url ON caravel_tenant (nwc_url) WHERE nwc_url IS NOT NULL;
CREATE INDEX caravel_relay_tenant ON caravel_relay (tenant);
CREATE INDEX caravel_parked_resource ON caravel_parked (consumer, resource_type, resource_id);
CREATE INDEX caravel_idempotency_created_at ON caravel_idempotency (created_at);
CREATE TRIGGER caravel_event_undeleted BEFORE DELETE ON caravel_event BEGIN
    SELECT RAISE(ABORT, 'the journal is append-only: an event is never deleted');
  END;
CREATE INDEX caravel_secret_key_id ON caravel_secret (key_id);
CREATE TRIGGER caravel_secret_encrypted BEFORE INSERT ON caravel_secret
    WHEN new.key_id IS NULL AND EXISTS (SELECT 1 FROM caravel_secret WHERE key_id IS NOT NULL) BEGIN
    SELECT RAISE(ABORT, 'the secrets of this database are encrypted: open it with their keys');
  END;
CREATE INDEX caravel_event_tenant ON caravel_event (tenant)
    WHERE activity_type IS NOT NULL OR type = 'RelayReconciled';
CREATE TRIGGER caravel_event_unchanged BEFORE UPDATE ON caravel_event BEGIN
    SELECT RAISE(ABORT, 'the journal is append-only: an event is never changed');
  END;
COMMIT;
