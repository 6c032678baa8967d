SET check_function_bodies = false;
CREATE SCHEMA frozen;
CREATE FUNCTION frozen.event_is_append_only() RETURNS trigger
    LANGUAGE plpgsql
    AS $$ BEGIN
          RAISE EXCEPTION 'the journal is append-only: an event is never %', CASE TG_OP
            WHEN 'UPDATE' THEN 'changed' ELSE 'deleted' END;
        END $$;
CREATE TABLE frozen.event (
    "position" bigint NOT NULL,
    id text NOT NULL COLLATE pg_catalog."C",
    type text NOT NULL COLLATE pg_catalog."C",
    activity_type text COLLATE pg_catalog."C",
    tenant text NOT NULL COLLATE pg_catalog."C",
    resource_type text NOT NULL COLLATE pg_catalog."C",
    resource_id text NOT NULL COLLATE pg_catalog."C",
    resource_version bigint NOT NULL,
    payload text NOT NULL COLLATE pg_catalog."C",
    metadata text NOT NULL COLLATE pg_catalog."C",
    created_at bigint NOT NULL,
    schema_version bigint DEFAULT 1 NOT NULL,
    CONSTRAINT event_metadata_check CHECK (((metadata)::json IS NOT NULL)),
    CONSTRAINT event_payload_check CHECK (((payload)::json IS NOT NULL)),
    CONSTRAINT event_position_check CHECK (("position" > 0)),
    CONSTRAINT event_resource_type_check CHECK ((resource_type = ANY (ARRAY['tenant'::text, 'relay'::text]))),
    CONSTRAINT event_resource_version_check CHECK ((resource_version > 0)),
    CONSTRAINT event_schema_version_check CHECK ((schema_version > 0))
);
CREATE VIEW frozen.activity AS
 SELECT event."position",
    event.id,
    event.tenant,
    event.created_at,
    event.activity_type,
    event.resource_type,
    event.resource_id
   FROM frozen.event
  WHERE (event.activity_type IS NOT NULL);
CREATE TABLE frozen.consumer (
    name text NOT NULL COLLATE pg_catalog."C",
    "position" bigint NOT NULL,
    filter text NOT NULL COLLATE pg_catalog."C",
    attempts bigint NOT NULL,
    failed_position bigint,
    last_error text COLLATE pg_catalog."C",
    progressed_at bigint,
    replays_requested bigint DEFAULT 0 NOT NULL,
    replays_done bigint DEFAULT 0 NOT NULL,
    CONSTRAINT consumer_attempts_check CHECK ((attempts >= 0)),
    CONSTRAINT consumer_filter_check CHECK (((filter)::json IS NOT NULL)),
    CONSTRAINT consumer_position_check CHECK (("position" >= 0))
);
CREATE TABLE frozen.effect_sql_migrations (
    migration_id integer NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    name text NOT NULL
);
CREATE TABLE frozen.idempotency (
    id text NOT NULL COLLATE pg_catalog."C",
    identity text NOT NULL COLLATE pg_catalog."C",
    "position" bigint,
    events bigint NOT NULL,
    refusal text COLLATE pg_catalog."C",
    created_at bigint NOT NULL,
    CONSTRAINT idempotency_check CHECK ((("position" IS NULL) = (refusal IS NOT NULL))),
    CONSTRAINT idempotency_events_check CHECK ((events >= 0)),
    CONSTRAINT idempotency_refusal_check CHECK (((refusal IS NULL) OR ((refusal)::json IS NOT NULL)))
);
CREATE TABLE frozen.lease (
    consumer text NOT NULL COLLATE pg_catalog."C",
    task text NOT NULL COLLATE pg_catalog."C",
    fence bigint NOT NULL,
    heartbeat bigint NOT NULL,
    owner text COLLATE pg_catalog."C",
    CONSTRAINT lease_task_check CHECK ((task = ANY (ARRAY['run'::text, 'replay'::text])))
);
CREATE TABLE frozen.parked (
    consumer text NOT NULL COLLATE pg_catalog."C",
    "position" bigint NOT NULL,
    resource_type text NOT NULL COLLATE pg_catalog."C",
    resource_id text NOT NULL COLLATE pg_catalog."C",
    attempts bigint NOT NULL,
    error text COLLATE pg_catalog."C",
    parked_at bigint NOT NULL,
    CONSTRAINT parked_attempts_check CHECK ((attempts >= 0)),
    CONSTRAINT parked_resource_type_check CHECK ((resource_type = ANY (ARRAY['tenant'::text, 'relay'::text])))
);
CREATE TABLE frozen.relay (
    id text NOT NULL COLLATE pg_catalog."C",
    tenant text NOT NULL COLLATE pg_catalog."C",
    subdomain text NOT NULL COLLATE pg_catalog."C",
    plan text NOT NULL COLLATE pg_catalog."C",
    info_name text NOT NULL COLLATE pg_catalog."C",
    info_icon text NOT NULL COLLATE pg_catalog."C",
    info_description text NOT NULL COLLATE pg_catalog."C",
    policy_public_join boolean NOT NULL,
    policy_strip_signatures boolean NOT NULL,
    groups_enabled boolean NOT NULL,
    management_enabled boolean NOT NULL,
    blossom_enabled boolean NOT NULL,
    livekit_enabled boolean NOT NULL,
    push_enabled boolean NOT NULL,
    status text NOT NULL COLLATE pg_catalog."C",
    synced boolean NOT NULL,
    sync_error text NOT NULL COLLATE pg_catalog."C",
    stripe_subscription_item_id text COLLATE pg_catalog."C",
    created_at bigint NOT NULL,
    version bigint NOT NULL,
    CONSTRAINT relay_status_check CHECK ((status = ANY (ARRAY['active'::text, 'inactive'::text, 'delinquent'::text]))),
    CONSTRAINT relay_version_check CHECK ((version > 0))
);
CREATE TABLE frozen.secret (
    id text NOT NULL COLLATE pg_catalog."C",
    value text NOT NULL COLLATE pg_catalog."C"
);
CREATE TABLE frozen.tenant (
    pubkey text NOT NULL COLLATE pg_catalog."C",
    nwc_url text COLLATE pg_catalog."C",
    nwc_error text COLLATE pg_catalog."C",
    stripe_customer_id text COLLATE pg_catalog."C",
    stripe_subscription_id text COLLATE pg_catalog."C",
    past_due_at bigint,
    created_at bigint NOT NULL,
    version bigint NOT NULL,
    CONSTRAINT tenant_version_check CHECK ((version > 0))
);
INSERT INTO frozen.consumer VALUES ('billing', 2, '{"activityType":["create_relay","deactivate_relay"]}', 1, 4, 'Error: no', 1795432095603, 2, 1);
INSERT INTO frozen.effect_sql_migrations VALUES (1, '2026-11-28 17:17:34.512656+00', 'journal');
INSERT INTO frozen.effect_sql_migrations VALUES (2, '2026-11-28 17:17:34.512656+00', 'consumer');
INSERT INTO frozen.effect_sql_migrations VALUES (3, '2026-11-28 17:17:34.512656+00', 'schema_version');
INSERT INTO frozen.effect_sql_migrations VALUES (4, '2026-11-28 17:17:34.512656+00', 'idempotency');
INSERT INTO frozen.event VALUES (1, '01a20817-9f5e-75be-8c41-e650131896aa', 'TenantCreated', 'create_tenant', 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa', 'tenant', 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa', 1, '{"nwcUrl":"01a20817-9f5e-75be-8c41-e650131896aa","nwcError":null,"stripeCustomerId":"cus_1","stripeSubscriptionId":null,"pastDueAt":null}', '{}', 1795432095582, 1);
INSERT INTO frozen.event VALUES (2, '01a20817-9f68-7ede-853d-460b15300f83', 'RelayCreated', 'create_relay', 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa', 'relay', 'a', 1, '{"subdomain":"a","plan":"free","infoName":"","infoIcon":"","infoDescription":"","policyPublicJoin":false,"policyStripSignatures":false,"groupsEnabled":true,"managementEnabled":false,"blossomEnabled":false,"livekitEnabled":false,"pushEnabled":false,"status":"active","synced":false,"syncError":"","stripeSubscriptionItemId":null}', '{}', 1795432095592, 1);
INSERT INTO frozen.event VALUES (3, '01a20817-9f6f-7006-b1b0-aeda64cd4308', 'TenantPastDueSet', NULL, 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa', 'tenant', 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa', 2, '{"pastDueAt":"2026-11-23T11:08:15.599Z"}', '{}', 1795432095599, 1);
INSERT INTO frozen.event VALUES (4, '01a20817-9f73-77ea-b608-f816ad1b3667', 'RelayMarkedDelinquent', 'deactivate_relay', 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa', 'relay', 'a', 2, '{"status":"delinquent"}', '{"actor":"billing","correlationId":"invoice-7"}', 1795432095603, 1);
INSERT INTO frozen.idempotency VALUES ('WljlviRJ3ZtTpLN9ih6DFL3xHLTEmb0Vn-afoB0YLaQ', 'F_m_cqwHvcCp-j1vYO5WM-C-X56AoDXc-5e-CSMVaKE', 4, 1, NULL, 1795432095603);
INSERT INTO frozen.lease VALUES ('billing', 'replay', 0, 0, NULL);
INSERT INTO frozen.lease VALUES ('billing', 'run', 3, 17, NULL);
INSERT INTO frozen.parked VALUES ('billing', 2, 'relay', 'a', 6, 'Error: no', 1795432095603);
INSERT INTO frozen.relay VALUES ('a', 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa', 'a', 'free', '', '', '', false, false, true, false, false, false, false, 'delinquent', false, '', NULL, 1795432095592, 2);
INSERT INTO frozen.secret VALUES ('01a20817-9f5e-75be-8c41-e650131896aa', 'nostr+walletconnect://frozen');
INSERT INTO frozen.tenant VALUES ('aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa', '01a20817-9f5e-75be-8c41-e650131896aa', NULL, 'cus_1', NULL, 1795432095599, 1795432095582, 2);
ALTER TABLE ONLY frozen.consumer
    ADD CONSTRAINT consumer_pkey PRIMARY KEY (name);
ALTER TABLE ONLY frozen.effect_sql_migrations
    ADD CONSTRAINT effect_sql_migrations_pkey PRIMARY KEY (migration_id);
ALTER TABLE ONLY frozen.event
    ADD CONSTRAINT event_id_key UNIQUE (id);
ALTER TABLE ONLY frozen.event
    ADD CONSTRAINT event_pkey PRIMARY KEY ("position");
ALTER TABLE ONLY frozen.event
    ADD CONSTRAINT event_resource_id_resource_type_resource_version_key UNIQUE (resource_id, resource_type, resource_version);
ALTER TABLE ONLY frozen.idempotency
    ADD CONSTRAINT idempotency_pkey PRIMARY KEY (id);
ALTER TABLE ONLY frozen.lease
    ADD CONSTRAINT lease_pkey PRIMARY KEY (consumer, task);
ALTER TABLE ONLY frozen.parked
    ADD CONSTRAINT parked_pkey PRIMARY KEY (consumer, "position");
ALTER TABLE ONLY frozen.relay
    ADD CONSTRAINT relay_pkey PRIMARY KEY (id);
ALTER TABLE ONLY frozen.relay
    ADD CONSTRAINT relay_subdomain_key UNIQUE (subdomain);
ALTER TABLE ONLY frozen.secret
    ADD CONSTRAINT secret_pkey PRIMARY KEY (id);
ALTER TABLE ONLY frozen.tenant
    ADD CONSTRAINT tenant_pkey PRIMARY KEY (pubkey);
CREATE INDEX event_tenant ON frozen.event USING btree (tenant) WHERE (activity_type IS NOT NULL);
CREATE INDEX idempotency_created_at ON frozen.idempotency USING btree (created_at);
CREATE INDEX parked_resource ON frozen.parked USING btree (consumer, resource_type, resource_id);
CREATE INDEX relay_tenant ON frozen.relay USING btree (tenant);
CREATE INDEX tenant_nwc_url ON frozen.tenant USING btree (nwc_url) WHERE (nwc_url IS NOT NULL);
CREATE TRIGGER event_unchanged BEFORE DELETE OR UPDATE OR TRUNCATE ON frozen.event FOR EACH STATEMENT EXECUTE FUNCTION frozen.event_is_append_only();
ALTER TABLE ONLY frozen.idempotency
    ADD CONSTRAINT idempotency_position_fkey FOREIGN KEY ("position") REFERENCES frozen.event("position") DEFERRABLE;
ALTER TABLE ONLY frozen.lease
    ADD CONSTRAINT lease_consumer_fkey FOREIGN KEY (consumer) REFERENCES frozen.consumer(name) DEFERRABLE;
ALTER TABLE ONLY frozen.parked
    ADD CONSTRAINT parked_consumer_fkey FOREIGN KEY (consumer) REFERENCES frozen.consumer(name) DEFERRABLE;
ALTER TABLE ONLY frozen.parked
    ADD CONSTRAINT parked_position_fkey FOREIGN KEY ("position") REFERENCES frozen.event("position") DEFERRABLE;
ALTER TABLE ONLY frozen.relay
    ADD CONSTRAINT relay_tenant_fkey FOREIGN KEY (tenant) REFERENCES frozen.tenant(pubkey) DEFERRABLE;
ALTER TABLE ONLY frozen.tenant
    ADD CONSTRAINT tenant_nwc_url_fkey FOREIGN KEY (nwc_url) REFERENCES frozen.secret(id) DEFERRABLE;
