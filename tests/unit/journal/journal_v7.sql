-- Written by the router of journal version 7 (PRAGMA user_version), dumped with sqlite3's iterdump:
-- journal_v6.sql after its migration, and another image under the UID of a known one. Never edited.
BEGIN TRANSACTION;
CREATE TABLE archive_told (            -- who takes no note was given the list by hand
        study TEXT NOT NULL REFERENCES study (orthanc_id),
        destination TEXT NOT NULL,
        told_at REAL NOT NULL,
        PRIMARY KEY (study, destination)
    ) STRICT;
CREATE TABLE caller (                  -- at the scanner's door
        calling TEXT NOT NULL,             -- AE title
        called TEXT NOT NULL,
        address TEXT NOT NULL,
        first_at REAL NOT NULL,
        last_at REAL NOT NULL,
        accepted INTEGER NOT NULL,
        refused INTEGER NOT NULL,
        reason TEXT NOT NULL,              -- why the last call was refused; empty: it was accepted
        PRIMARY KEY (calling, address)
    ) STRICT;
CREATE TABLE correction (              -- a study that takes the place of a rejected one
        study TEXT PRIMARY KEY REFERENCES study (orthanc_id),
        original TEXT NOT NULL,            -- the pseudonymous Study UID before any correction
        number INTEGER NOT NULL,           -- enters the study's UIDs
        replaces TEXT NOT NULL REFERENCES study (orthanc_id),
        title TEXT NOT NULL,               -- of the rejection note (CID 7011)
        note TEXT,                         -- the note's instance; NULL: nothing had left the truck
        decided_at REAL NOT NULL,
        UNIQUE (original, number)
    ) STRICT;
CREATE TABLE cursor (
        only INTEGER PRIMARY KEY CHECK (only = 1),
        database TEXT NOT NULL,            -- which Orthanc index the number belongs to
        sequence INTEGER NOT NULL          -- the last change that was taken in
    ) STRICT;
INSERT INTO "cursor" VALUES(1,'index',7);
CREATE TABLE destination (             -- what is known of the way to it
        name TEXT PRIMARY KEY,
        reached_at REAL,                   -- when it first answered as it should; NULL: never yet
        code TEXT,                         -- why nothing goes there now; NULL: it goes
        since REAL NOT NULL
    ) STRICT;
INSERT INTO "destination" VALUES('archive',1700000004.0,NULL,1700000004.0);
INSERT INTO "destination" VALUES('cloud',1700000004.0,NULL,1700000004.0);
CREATE TABLE device (                  -- few: its name is a label of metrics
        name TEXT PRIMARY KEY,             -- MG-1, MG-2 …: all of it that leaves the truck
        kind TEXT NOT NULL,                -- CT, MG …
        machine TEXT NOT NULL UNIQUE,      -- a hash
        build TEXT NOT NULL,               -- JSON: maker, model, software
        images INTEGER NOT NULL,
        seen_at REAL NOT NULL
    ) STRICT;
CREATE TABLE device_view (             -- what it makes: which of it metrics show
        device TEXT NOT NULL,
        modality TEXT NOT NULL,
        view TEXT NOT NULL,
        images INTEGER NOT NULL,
        seen_at REAL NOT NULL,
        PRIMARY KEY (device, modality, view)
    ) STRICT;
CREATE TABLE held_kind (               -- what a policy holds, and could be decided for good
        instance TEXT PRIMARY KEY REFERENCES instance (orthanc_id),
        sop_class TEXT NOT NULL,
        image_type TEXT NOT NULL,          -- the value it is held by; empty: for its class
        settled_at REAL                    -- when a standing decision discarded it
    ) STRICT;
CREATE TABLE hold_conflict (           -- the other side of what a held image conflicts with
        instance TEXT PRIMARY KEY REFERENCES instance (orthanc_id),
        pseudonym TEXT,                    -- a known patient
        other TEXT,                        -- another image
        scheme INTEGER NOT NULL,
        blob BLOB NOT NULL                 -- what the held image says of its patient
    ) STRICT;
CREATE TABLE identity (                -- pseudonym -> patient; leaves the truck never
        kind TEXT NOT NULL,                -- patient or accession
        pseudonym TEXT NOT NULL,
        key_id TEXT NOT NULL,
        scheme INTEGER NOT NULL,           -- how the blob is written: 0 is JSON in the clear
        blob BLOB NOT NULL,
        first_used_at REAL NOT NULL,
        PRIMARY KEY (kind, pseudonym)
    ) STRICT;
CREATE TABLE instance (
        orthanc_id TEXT PRIMARY KEY,       -- the original's; a capture's own
        study TEXT NOT NULL REFERENCES study (orthanc_id),
        role TEXT NOT NULL,
        source TEXT REFERENCES instance (orthanc_id),  -- what a capture was made of
        stage TEXT NOT NULL,
        attempts INTEGER NOT NULL DEFAULT 0,
        origin TEXT NOT NULL,
        received_at REAL NOT NULL,
        analysis TEXT,
        policy TEXT NOT NULL DEFAULT '',   -- the one that a person released it under
        hold_code TEXT,
        hold_detail TEXT,
        held_at REAL,
        -- the copy that is sent: written before it is stored, so that it is known as our own
        copy_id TEXT UNIQUE,
        study_uid TEXT,
        series_uid TEXT,
        sop_uid TEXT,
        sop_class TEXT,
        modality TEXT,
        transfer_syntax TEXT,
        instance_number INTEGER,
        digest TEXT,
        md5 TEXT,
        size INTEGER, rank INTEGER NOT NULL DEFAULT 2, original_digest TEXT, original_size INTEGER, purged_at REAL, step_at REAL, crashes INTEGER NOT NULL DEFAULT 0, look_at REAL, content TEXT,
        CHECK ((stage = 'HELD') = (hold_code IS NOT NULL)),
        CHECK (stage <> 'ANONYMIZED' OR digest IS NOT NULL),
        CHECK ((role = 'CAPTURE') = (source IS NOT NULL))
    ) STRICT;
INSERT INTO "instance" VALUES('arriving-1','arriving','SOURCE',NULL,'RECEIVED',0,'SCANNER',1700000000.0,NULL,'',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,2,NULL,NULL,NULL,NULL,0,NULL,NULL);
INSERT INTO "instance" VALUES('received-1','received','SOURCE',NULL,'ANONYMIZED',0,'SCANNER',1700000000.0,NULL,'',NULL,NULL,NULL,'copy-received-1','2.25.15334444040337319333044989490','2.25.20767805624070032926983488565','2.25.38310849056777665114514129781','1.2.840.10008.5.1.4.1.1.2','CT','1.2.840.10008.1.2.1',1,'cdb613041ae1023aaf910f56ffe127d32c5aca495dcdc3938e544e2ff4b28d6a','29d3e6ac6e9e3b15f1181ff893a93f77',500,2,'0000000000000000000000000000000000000000000000000000000000000000',500,NULL,NULL,0,NULL,NULL);
INSERT INTO "instance" VALUES('received-2','received','SOURCE',NULL,'RECEIVED',0,'SCANNER',1700000000.0,NULL,'',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,2,NULL,NULL,NULL,NULL,0,NULL,NULL);
INSERT INTO "instance" VALUES('text-1','text','SOURCE',NULL,'HELD',0,'SCANNER',1700000000.0,NULL,'','BURNED_IN_TEXT','it says so',1700000001.0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,2,NULL,NULL,NULL,NULL,0,NULL,NULL);
INSERT INTO "instance" VALUES('anonymized-1','anonymized','SOURCE',NULL,'ANONYMIZED',0,'SCANNER',1700000000.0,NULL,'',NULL,NULL,NULL,'copy-anonymized-1','2.25.27645033160929296998057944464','2.25.56571913764389231285874753176','2.25.69681548665449390914438062563','1.2.840.10008.5.1.4.1.1.2','CT','1.2.840.10008.1.2.1',1,'d3c7769b104ba3b1ce2f3cbb60c3e0de471191d608e5af7c1e40169263942329','041ecd5f74ca9dd065cc115c34d2df64',500,1,'0000000000000000000000000000000000000000000000000000000000000000',500,NULL,NULL,0,NULL,NULL);
INSERT INTO "instance" VALUES('analysed-1','analysed','SOURCE',NULL,'ANONYMIZED',0,'SCANNER',1700000000.0,NULL,'',NULL,NULL,NULL,'copy-analysed-1','2.25.51550663024918374966811095208','2.25.49478140458606435663492909147','2.25.62016902677991108401403748039','1.2.840.10008.5.1.4.1.1.2','CT','1.2.840.10008.1.2.1',1,'d88477ba84109e4ff6ff7c593815a954ad957447d32456751f2b525daeaab7e4','220443ed807621ab49cb5d89d0fffacd',500,2,'0000000000000000000000000000000000000000000000000000000000000000',500,NULL,NULL,0,NULL,NULL);
INSERT INTO "instance" VALUES('analysed-2','analysed','SOURCE',NULL,'ANONYMIZED',0,'SCANNER',1700000000.0,NULL,'',NULL,NULL,NULL,'copy-analysed-2','2.25.51550663024918374966811095208','2.25.49478140458606435663492909147','2.25.1046632697754082022499313985','1.2.840.10008.5.1.4.1.1.2','CT','1.2.840.10008.1.2.1',1,'1fa044ba3e07257546effd332344f17e1cf83b6d992ccc13cc2df961121edcc1','db61b315f0130648137bd86d6d88ec12',500,1,'0000000000000000000000000000000000000000000000000000000000000000',500,NULL,NULL,0,NULL,NULL);
INSERT INTO "instance" VALUES('analysed-3','analysed','SOURCE',NULL,'ANONYMIZED',0,'SCANNER',1700000000.0,NULL,'',NULL,NULL,NULL,'copy-analysed-3','2.25.51550663024918374966811095208','2.25.49478140458606435663492909147','2.25.36698840700495608649994128487','1.2.840.10008.5.1.4.1.1.2','CT','1.2.840.10008.1.2.1',1,'ff42dba4f658e010a930d44571cc5e876b5515e1aa4ce2db69be74b6f415cf7b','e576a3e3f71aecbf6389f45089c24195',500,2,'0000000000000000000000000000000000000000000000000000000000000000',500,NULL,NULL,0,NULL,NULL);
INSERT INTO "instance" VALUES('delivered-1','delivered','SOURCE',NULL,'ANONYMIZED',0,'SCANNER',1700000000.0,NULL,'',NULL,NULL,NULL,'copy-delivered-1','2.25.17096662344025547852613953462','2.25.62137557032462857084639939277','2.25.44806447633745683213831176935','1.2.840.10008.5.1.4.1.1.2','CT','1.2.840.10008.1.2.1',1,'d686f4e4848a36d076d01d6a210657a700402198bf08a0397a8892af30bea146','9f718c99f25faee9ac1c4a101729f9c8',500,1,'0000000000000000000000000000000000000000000000000000000000000000',500,NULL,NULL,0,NULL,NULL);
INSERT INTO "instance" VALUES('purged-1','purged','SOURCE',NULL,'ANONYMIZED',0,'SCANNER',1700000000.0,NULL,'',NULL,NULL,NULL,'copy-purged-1','2.25.2166001479478678573267936255','2.25.17662807352462414732083288113','2.25.21456948488377638940165433925','1.2.840.10008.5.1.4.1.1.2','CT','1.2.840.10008.1.2.1',1,'bc932bc9a52bef7a4bd9d71e6f20834f0bcd1091b3fe4f4ed5e8667a1fd24b1d','0163c8050c82fdb50c6a651899ba12c5',500,1,'0000000000000000000000000000000000000000000000000000000000000000',500,1700000007.0,NULL,0,NULL,NULL);
INSERT INTO "instance" VALUES('discarded-1','discarded','SOURCE',NULL,'DISCARDED',0,'SCANNER',1700000000.0,NULL,'',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,2,NULL,NULL,NULL,NULL,0,NULL,NULL);
INSERT INTO "instance" VALUES('onerefused-1','onerefused','SOURCE',NULL,'ANONYMIZED',0,'SCANNER',1700000000.0,NULL,'',NULL,NULL,NULL,'copy-onerefused-1','2.25.74772164646393300515801985995','2.25.72217628802906931120441948166','2.25.44208960456647548851520722231','1.2.840.10008.5.1.4.1.1.2','CT','1.2.840.10008.1.2.1',1,'f9452c6dabb7dbc4bfd88953c5693702349438afeae0eda0971892f7ddcbc296','8f693ce21051eb4db47ade3d3fd93c14',500,1,'0000000000000000000000000000000000000000000000000000000000000000',500,NULL,NULL,0,NULL,NULL);
INSERT INTO "instance" VALUES('endless-1','endless','SOURCE',NULL,'ANONYMIZED',0,'SCANNER',1700000000.0,NULL,'',NULL,NULL,NULL,'copy-endless-1','2.25.546199607428630702734434934','2.25.70723438273077165331545011050','2.25.48957665076592976423310717118','1.2.840.10008.5.1.4.1.1.2','CT','1.2.840.10008.1.2.1',1,'fb922fbe954536ca34cd17cf18d682af43ee50deec1edd07062ddb258ea5b620','283562f51c1ccdd57a7ff55b15382c2d',498,2,'0000000000000000000000000000000000000000000000000000000000000000',500,NULL,NULL,0,NULL,NULL);
INSERT INTO "instance" VALUES('endless-2','endless','SOURCE',NULL,'ANONYMIZED',0,'SCANNER',1700000000.0,NULL,'',NULL,NULL,NULL,'copy-endless-2','2.25.546199607428630702734434934','2.25.70723438273077165331545011050','2.25.46981706279403331635168599402','1.2.840.10008.5.1.4.1.1.2','CT','1.2.840.10008.1.2.1',1,'74b7d0da609f958ceaacb8c256b3d3331de3bf3693b047491ad28720837e6788','e023a6cbcddc6223a82ecb95bdb29f5f',498,1,'0000000000000000000000000000000000000000000000000000000000000000',500,NULL,NULL,0,NULL,NULL);
INSERT INTO "instance" VALUES('alone-1','alone','SOURCE',NULL,'ANONYMIZED',0,'SCANNER',1700000000.0,NULL,'',NULL,NULL,NULL,'copy-alone-1','2.25.77622158075019551875463322699','2.25.12571046600896412145560078751','2.25.70170362437324866124876953767','1.2.840.10008.5.1.4.1.1.2','CT','1.2.840.10008.1.2.1',1,'f894d35163c6003f309315f790e13e102176f03247efba816ab61f6e4df94528','65a97cff3883dc4dd9e6d3a8e4948396',500,1,'0000000000000000000000000000000000000000000000000000000000000000',500,NULL,NULL,0,NULL,NULL);
INSERT INTO "instance" VALUES('only-1','only','SOURCE',NULL,'ANONYMIZED',0,'SCANNER',1700000000.0,NULL,'',NULL,NULL,NULL,'copy-only-1','2.25.77068650686867850606483236163','2.25.77210527931936342009089847310','2.25.72123252160475733216560399081','1.2.840.10008.5.1.4.1.1.2','CT','1.2.840.10008.1.2.1',1,'20390616127e2f9e44ec8d5e49e5cfcda817c34d1f467b903a7aa39670af2f34','7afaedaa92cc315e92563da5e5002642',500,1,'0000000000000000000000000000000000000000000000000000000000000000',500,NULL,NULL,0,NULL,NULL);
INSERT INTO "instance" VALUES('copy-1','copy','SOURCE',NULL,'HELD',0,'SCANNER',1700000000.0,NULL,'','COPY_DIFFERS','cloud: answered 413',1700000006.0,'copy-copy-1','2.25.34462093737024685932522477542','2.25.24609681149478242285825862899','2.25.6698109590280003667438202637','1.2.840.10008.5.1.4.1.1.2','CT','1.2.840.10008.1.2.1',1,'210329054c579804d435b596b4c9a28b4592d767082b2406490f9e07b5d79555','47494d780373b741214c4242a22eebfc',500,1,'0000000000000000000000000000000000000000000000000000000000000000',500,NULL,NULL,0,NULL,NULL);
INSERT INTO "instance" VALUES('gone-1','gone','SOURCE',NULL,'ANONYMIZED',0,'SCANNER',1700000000.0,NULL,'',NULL,NULL,NULL,'copy-gone-1','2.25.12451604766410162498797811000','2.25.62922466061959593637800144248','2.25.62303432807968063038502824591','1.2.840.10008.5.1.4.1.1.2','CT','1.2.840.10008.1.2.1',1,'81a5a65239ab6701458805470e060c4a37d07dbe9e2a19f4029155e5821c5a6d','7c0e882149a14e7919abb2d9cf4ef17d',500,1,'0000000000000000000000000000000000000000000000000000000000000000',500,NULL,NULL,0,NULL,NULL);
INSERT INTO "instance" VALUES('delivered-1+bbbbbbbbbbbb','delivered','REPEATED',NULL,'HELD',0,'SCANNER',1700000006.0,NULL,'','SAME_UID_OTHER_BYTES','SHA-256 first aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa, then bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb',1700000006.0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,2,'bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb',NULL,NULL,NULL,0,NULL,NULL);
CREATE TABLE issuer_table (            -- the programme's table, as it was when patients became known
        only INTEGER PRIMARY KEY CHECK (only = 1),
        definition TEXT NOT NULL           -- JSON
    ) STRICT;
CREATE TABLE likely_patient (          -- written otherwise, and probably the same person
        study TEXT NOT NULL REFERENCES study (orthanc_id),
        field TEXT NOT NULL,
        pseudonym TEXT NOT NULL,
        scheme INTEGER NOT NULL,           -- 0 is JSON in the clear
        blob BLOB NOT NULL,                -- what the study says of her
        noted_at REAL NOT NULL,
        PRIMARY KEY (study, field)
    ) STRICT;
CREATE TABLE profile (                 -- what the profile_id of a study stands for
        id TEXT PRIMARY KEY,
        definition TEXT NOT NULL           -- options and lists, as JSON
    ) STRICT;
CREATE TABLE programme_key (           -- the keys that were ever used
        id TEXT PRIMARY KEY,
        fingerprint TEXT NOT NULL          -- keyed: says whether it is the same, and nothing of it
    ) STRICT;
CREATE TABLE quality (                 -- what was seen of an original; stays on the truck
        instance TEXT PRIMARY KEY,
        study TEXT NOT NULL,
        looked_at REAL NOT NULL,
        code TEXT,                         -- why its pixels were not looked at
        modality TEXT NOT NULL,
        view TEXT NOT NULL,
        device TEXT NOT NULL,              -- a hash: baselines are per device and view
        acquisition TEXT NOT NULL,         -- JSON
        features TEXT NOT NULL             -- JSON: name -> figure
    ) STRICT;
CREATE TABLE quality_expected (        -- for one patient: other views than the protocol's
        study TEXT PRIMARY KEY,
        views TEXT NOT NULL                -- JSON list
    ) STRICT;
CREATE TABLE quality_flag (
        instance TEXT NOT NULL REFERENCES quality (instance),
        flag TEXT NOT NULL,
        value REAL NOT NULL,
        bound REAL NOT NULL,
        PRIMARY KEY (instance, flag)
    ) STRICT;
CREATE TABLE quality_flag_total (
        device TEXT NOT NULL,
        modality TEXT NOT NULL,
        flag TEXT NOT NULL,
        number INTEGER NOT NULL,
        raised_at REAL NOT NULL,
        PRIMARY KEY (device, modality, flag)
    ) STRICT;
CREATE TABLE quality_total (           -- for metrics: they never go back with a restart
        device TEXT NOT NULL,
        modality TEXT NOT NULL,
        view TEXT NOT NULL,
        feature TEXT NOT NULL,
        number INTEGER NOT NULL,
        total REAL NOT NULL,
        squares REAL NOT NULL,
        PRIMARY KEY (device, modality, view, feature)
    ) STRICT;
CREATE TABLE "receipt" (
        instance TEXT NOT NULL REFERENCES instance (orthanc_id),
        destination TEXT NOT NULL,
        study TEXT NOT NULL,
        state TEXT NOT NULL,               -- of router.records.receipt's table
        digest TEXT NOT NULL,              -- of the bytes that are sent
        md5 TEXT,                          -- of the file, where it is sent in another syntax
        syntax TEXT,                       -- NULL: sent as the copy is stored
        size INTEGER NOT NULL,
        place REAL NOT NULL,               -- when the study came, less its head start
        rank INTEGER NOT NULL,
        series TEXT NOT NULL,
        ordinal INTEGER NOT NULL,
        attempts INTEGER NOT NULL DEFAULT 0,
        breaks INTEGER NOT NULL DEFAULT 0, -- how often the link broke in the middle of it
        due_at REAL NOT NULL,
        last_code TEXT,
        begun_at REAL,
        sent_at REAL,
        verified_at REAL,
        verified_by TEXT,
        hold_code TEXT,
        hold_detail TEXT,
        held_at REAL,
        PRIMARY KEY (instance, destination),
        CHECK ((state = 'VERIFIED') = (verified_at IS NOT NULL)),
        CHECK ((verified_at IS NULL) = (verified_by IS NULL)),
        CHECK (state <> 'SENT' OR sent_at IS NOT NULL),
        CHECK (state <> 'WAITING' OR begun_at IS NULL AND sent_at IS NULL),
        CHECK ((state = 'HELD') = (hold_code IS NOT NULL))
    ) STRICT;
INSERT INTO "receipt" VALUES('anonymized-1','archive','anonymized','WAITING','d3c7769b104ba3b1ce2f3cbb60c3e0de471191d608e5af7c1e40169263942329',NULL,NULL,500,1702332800.0,1,'2.25.56571913764389231285874753176',1,0,0,1700000002.0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "receipt" VALUES('anonymized-1','cloud','anonymized','WAITING','d3c7769b104ba3b1ce2f3cbb60c3e0de471191d608e5af7c1e40169263942329',NULL,NULL,500,1702332800.0,1,'2.25.56571913764389231285874753176',1,0,0,1700000002.0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "receipt" VALUES('analysed-1','archive','analysed','WAITING','d88477ba84109e4ff6ff7c593815a954ad957447d32456751f2b525daeaab7e4',NULL,NULL,500,1702332800.0,2,'2.25.49478140458606435663492909147',1,0,0,1700000002.0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "receipt" VALUES('analysed-1','cloud','analysed','UNCERTAIN','d88477ba84109e4ff6ff7c593815a954ad957447d32456751f2b525daeaab7e4',NULL,NULL,500,1702332800.0,2,'2.25.49478140458606435663492909147',1,0,0,1700000002.0,NULL,1700000003.0,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "receipt" VALUES('analysed-2','archive','analysed','WAITING','1fa044ba3e07257546effd332344f17e1cf83b6d992ccc13cc2df961121edcc1',NULL,NULL,500,1702332800.0,1,'2.25.49478140458606435663492909147',1,0,0,1700000002.0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "receipt" VALUES('analysed-2','cloud','analysed','SENT','1fa044ba3e07257546effd332344f17e1cf83b6d992ccc13cc2df961121edcc1',NULL,NULL,500,1702332800.0,1,'2.25.49478140458606435663492909147',1,0,0,1700000004.0,NULL,1700000003.0,1700000004.0,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "receipt" VALUES('analysed-3','archive','analysed','WAITING','ff42dba4f658e010a930d44571cc5e876b5515e1aa4ce2db69be74b6f415cf7b',NULL,NULL,500,1702332800.0,2,'2.25.49478140458606435663492909147',1,1,0,1700000100.0,'DESTINATION_BUSY',NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "receipt" VALUES('analysed-3','cloud','analysed','VERIFIED','ff42dba4f658e010a930d44571cc5e876b5515e1aa4ce2db69be74b6f415cf7b',NULL,NULL,500,1702332800.0,2,'2.25.49478140458606435663492909147',1,0,0,1700000004.0,NULL,1700000003.0,1700000004.0,1700000005.0,'PRESENCE',NULL,NULL,NULL);
INSERT INTO "receipt" VALUES('delivered-1','archive','delivered','VERIFIED','d686f4e4848a36d076d01d6a210657a700402198bf08a0397a8892af30bea146',NULL,NULL,500,1702332800.0,1,'2.25.62137557032462857084639939277',1,0,0,1700000004.0,NULL,1700000003.0,1700000004.0,1700000005.0,'PRESENCE',NULL,NULL,NULL);
INSERT INTO "receipt" VALUES('delivered-1','cloud','delivered','VERIFIED','d686f4e4848a36d076d01d6a210657a700402198bf08a0397a8892af30bea146',NULL,NULL,500,1702332800.0,1,'2.25.62137557032462857084639939277',1,0,0,1700000004.0,NULL,1700000003.0,1700000004.0,1700000005.0,'PRESENCE',NULL,NULL,NULL);
INSERT INTO "receipt" VALUES('purged-1','archive','purged','VERIFIED','bc932bc9a52bef7a4bd9d71e6f20834f0bcd1091b3fe4f4ed5e8667a1fd24b1d',NULL,NULL,500,1702332800.0,1,'2.25.17662807352462414732083288113',1,0,0,1700000004.0,NULL,1700000003.0,1700000004.0,1700000005.0,'PRESENCE',NULL,NULL,NULL);
INSERT INTO "receipt" VALUES('purged-1','cloud','purged','VERIFIED','bc932bc9a52bef7a4bd9d71e6f20834f0bcd1091b3fe4f4ed5e8667a1fd24b1d',NULL,NULL,500,1702332800.0,1,'2.25.17662807352462414732083288113',1,0,0,1700000004.0,NULL,1700000003.0,1700000004.0,1700000005.0,'PRESENCE',NULL,NULL,NULL);
INSERT INTO "receipt" VALUES('onerefused-1','archive','onerefused','HELD','f9452c6dabb7dbc4bfd88953c5693702349438afeae0eda0971892f7ddcbc296',NULL,NULL,500,1702332800.0,1,'2.25.72217628802906931120441948166',1,0,0,1700000002.0,NULL,1700000003.0,NULL,NULL,NULL,'DESTINATION_REFUSED','archive: answered 413',1700000006.0);
INSERT INTO "receipt" VALUES('onerefused-1','cloud','onerefused','VERIFIED','f9452c6dabb7dbc4bfd88953c5693702349438afeae0eda0971892f7ddcbc296',NULL,NULL,500,1702332800.0,1,'2.25.72217628802906931120441948166',1,0,0,1700000004.0,NULL,1700000003.0,1700000004.0,1700000005.0,'PRESENCE',NULL,NULL,NULL);
INSERT INTO "receipt" VALUES('endless-1','archive','endless','HELD','fb922fbe954536ca34cd17cf18d682af43ee50deec1edd07062ddb258ea5b620',NULL,NULL,498,1702332800.0,2,'2.25.70723438273077165331545011050',1,0,0,1700000002.0,NULL,1700000003.0,NULL,NULL,NULL,'DESTINATION_REFUSED','archive: answered 413',1700000006.0);
INSERT INTO "receipt" VALUES('endless-1','cloud','endless','WAITING','fb922fbe954536ca34cd17cf18d682af43ee50deec1edd07062ddb258ea5b620',NULL,NULL,498,1702332800.0,2,'2.25.70723438273077165331545011050',1,0,0,1700000002.0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "receipt" VALUES('endless-2','archive','endless','VERIFIED','74b7d0da609f958ceaacb8c256b3d3331de3bf3693b047491ad28720837e6788',NULL,NULL,498,1702332800.0,1,'2.25.70723438273077165331545011050',1,0,0,1700000004.0,NULL,1700000003.0,1700000004.0,1700000005.0,'PRESENCE',NULL,NULL,NULL);
INSERT INTO "receipt" VALUES('endless-2','cloud','endless','VERIFIED','74b7d0da609f958ceaacb8c256b3d3331de3bf3693b047491ad28720837e6788',NULL,NULL,498,1702332800.0,1,'2.25.70723438273077165331545011050',1,0,0,1700000004.0,NULL,1700000003.0,1700000004.0,1700000005.0,'PRESENCE',NULL,NULL,NULL);
INSERT INTO "receipt" VALUES('alone-1','archive','alone','HELD','f894d35163c6003f309315f790e13e102176f03247efba816ab61f6e4df94528',NULL,NULL,500,1702332800.0,1,'2.25.12571046600896412145560078751',1,0,0,1700000002.0,NULL,1700000003.0,NULL,NULL,NULL,'DESTINATION_REFUSED','archive: answered 413',1700000006.0);
INSERT INTO "receipt" VALUES('alone-1','cloud','alone','WAITING','f894d35163c6003f309315f790e13e102176f03247efba816ab61f6e4df94528',NULL,NULL,500,1702332800.0,1,'2.25.12571046600896412145560078751',1,0,0,1700000002.0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "receipt" VALUES('only-1','cloud','only','HELD','20390616127e2f9e44ec8d5e49e5cfcda817c34d1f467b903a7aa39670af2f34',NULL,NULL,500,1702332800.0,1,'2.25.77210527931936342009089847310',1,0,0,1700000002.0,NULL,1700000003.0,NULL,NULL,NULL,'DESTINATION_REFUSED','cloud: answered 413',1700000006.0);
INSERT INTO "receipt" VALUES('copy-1','archive','copy','WAITING','210329054c579804d435b596b4c9a28b4592d767082b2406490f9e07b5d79555',NULL,NULL,500,1702332800.0,1,'2.25.24609681149478242285825862899',1,0,0,1700000002.0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "receipt" VALUES('copy-1','cloud','copy','UNCERTAIN','210329054c579804d435b596b4c9a28b4592d767082b2406490f9e07b5d79555',NULL,NULL,500,1702332800.0,1,'2.25.24609681149478242285825862899',1,0,0,1700000002.0,NULL,1700000003.0,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "receipt" VALUES('gone-1','cloud','gone','VERIFIED','81a5a65239ab6701458805470e060c4a37d07dbe9e2a19f4029155e5821c5a6d',NULL,NULL,500,1702332800.0,1,'2.25.62922466061959593637800144248',1,0,0,1700000004.0,NULL,1700000003.0,1700000004.0,1700000005.0,'PRESENCE',NULL,NULL,NULL);
INSERT INTO "receipt" VALUES('gone-1','former','gone','HELD','81a5a65239ab6701458805470e060c4a37d07dbe9e2a19f4029155e5821c5a6d',NULL,NULL,500,1702332800.0,1,'2.25.62922466061959593637800144248',1,0,0,1700000006.0,NULL,NULL,NULL,NULL,NULL,'DESTINATION_REFUSED','former: answered 413',1700000006.0);
CREATE TABLE removal (                 -- discarded before it left: its files leave the truck
        instance TEXT PRIMARY KEY REFERENCES instance (orthanc_id),
        digest TEXT                        -- of what is removed, before it is: nothing else may go
    ) STRICT;
CREATE TABLE route (
        instance TEXT PRIMARY KEY REFERENCES instance (orthanc_id),
        rule TEXT NOT NULL,
        destinations TEXT,                 -- JSON list; NULL: every one
        priority INTEGER NOT NULL,
        policy TEXT NOT NULL,
        analyses TEXT                      -- JSON list; NULL: every one
    ) STRICT;
CREATE TABLE sighting (                -- what the scanner sent, whether Orthanc kept it or not
        sop_uid TEXT NOT NULL,             -- the pseudonymous one
        digest TEXT NOT NULL,              -- of the data set, as it came
        seen_at REAL NOT NULL,
        settled INTEGER NOT NULL DEFAULT 0,
        PRIMARY KEY (sop_uid, digest)
    ) STRICT, WITHOUT ROWID;
CREATE TABLE standing_decision (       -- objects of this kind are discarded without a question
        sop_class TEXT NOT NULL,
        image_type TEXT NOT NULL,
        decided_at REAL NOT NULL,
        decided_by TEXT NOT NULL,
        reason TEXT NOT NULL,
        PRIMARY KEY (sop_class, image_type)
    ) STRICT;
CREATE TABLE study (
        orthanc_id TEXT PRIMARY KEY,
        alias TEXT NOT NULL,               -- keyed; stands for the study in logs
        state TEXT NOT NULL,
        generation INTEGER NOT NULL,
        attempts INTEGER NOT NULL DEFAULT 0,
        due_at REAL,                       -- NULL while the scanner is still sending
        last_code TEXT,                    -- why the step is being retried
        key_id TEXT NOT NULL,
        profile_id TEXT NOT NULL,
        received_at REAL NOT NULL,
        changed_at REAL NOT NULL
    , priority INTEGER NOT NULL DEFAULT -9, purged_at REAL) STRICT;
INSERT INTO "study" VALUES('arriving','arrivingxxxx','RECEIVED',1,0,NULL,NULL,'key','basic-1',1700000000.0,1700000000.0,-9,NULL);
INSERT INTO "study" VALUES('received','receivedxxxx','RECEIVED',2,0,1700000000.0,NULL,'key','basic-1',1700000000.0,1700000000.0,-9,NULL);
INSERT INTO "study" VALUES('text','textxxxxxxxx','HELD',1,0,1700000002.0,NULL,'key','basic-1',1700000000.0,1700000002.0,-9,NULL);
INSERT INTO "study" VALUES('anonymized','anonymizedxx','ANONYMIZED',1,0,1700000002.0,NULL,'key','basic-1',1700000000.0,1700000002.0,-9,NULL);
INSERT INTO "study" VALUES('analysed','analysedxxxx','ANALYSED',3,0,1700000002.0,NULL,'key','basic-1',1700000000.0,1700000002.0,-9,NULL);
INSERT INTO "study" VALUES('delivered','deliveredxxx','DELIVERED',1,0,1700000006.0,NULL,'key','basic-1',1700000000.0,1700000006.0,-9,NULL);
INSERT INTO "study" VALUES('purged','purgedxxxxxx','PURGED',1,0,1700000006.0,NULL,'key','basic-1',1700000000.0,1700000007.0,-9,1700000007.0);
INSERT INTO "study" VALUES('discarded','discardedxxx','DISCARDED',1,0,1700000008.0,NULL,'key','basic-1',1700000000.0,1700000008.0,-9,NULL);
INSERT INTO "study" VALUES('onerefused','onerefusedxx','RECEIVED',2,0,1700000006.0,NULL,'key','basic-1',1700000000.0,1700000006.0,-9,NULL);
INSERT INTO "study" VALUES('endless','endlessxxxxx','RECEIVED',3,0,1700000007.0,NULL,'key','basic-1',1700000000.0,1700000007.0,-9,NULL);
INSERT INTO "study" VALUES('alone','alonexxxxxxx','RECEIVED',2,0,1700000006.0,NULL,'key','basic-1',1700000000.0,1700000006.0,-9,NULL);
INSERT INTO "study" VALUES('only','onlyxxxxxxxx','HELD',1,0,1700000006.0,NULL,'key','basic-1',1700000000.0,1700000006.0,-9,NULL);
INSERT INTO "study" VALUES('copy','copyxxxxxxxx','HELD',1,0,1700000006.0,NULL,'key','basic-1',1700000000.0,1700000006.0,-9,NULL);
INSERT INTO "study" VALUES('gone','gonexxxxxxxx','RECEIVED',2,0,1700000006.0,NULL,'key','basic-1',1700000000.0,1700000006.0,-9,NULL);
CREATE TABLE study_patient (           -- one patient a study, from its first copy on
        study TEXT PRIMARY KEY REFERENCES study (orthanc_id),
        pseudonym TEXT NOT NULL,
        issuer TEXT NOT NULL,              -- of her number, as it enters the pseudonym
        said TEXT NOT NULL                 -- the first issuer that an image named; empty: none did
    ) STRICT;
CREATE INDEX study_due ON study (state, due_at);
CREATE INDEX instance_study ON instance (study, stage);
CREATE INDEX instance_sop_uid ON instance (sop_uid);
CREATE INDEX study_alias ON study (alias);
CREATE INDEX study_received ON study (received_at);
CREATE INDEX study_key ON study (key_id);
CREATE INDEX instance_present ON instance (received_at) WHERE purged_at IS NULL;
CREATE INDEX instance_purged ON instance (purged_at) WHERE purged_at IS NOT NULL;
CREATE INDEX instance_step ON instance (step_at) WHERE step_at IS NOT NULL;
CREATE INDEX instance_source ON instance (source) WHERE source IS NOT NULL;
CREATE INDEX instance_held ON instance (held_at, hold_code, study)
        WHERE hold_code IS NOT NULL;
CREATE INDEX sighting_open ON sighting (sop_uid) WHERE settled = 0;
CREATE INDEX sighting_age ON sighting (seen_at);
CREATE INDEX instance_nowhere ON instance (hold_code) WHERE hold_code = 'NO_DESTINATION';
CREATE INDEX quality_study ON quality (study);
CREATE INDEX quality_baseline ON quality (device, modality, view, looked_at);
CREATE INDEX instance_study_uid ON instance (study_uid);
CREATE UNIQUE INDEX correction_replaces ON correction (replaces);
CREATE INDEX correction_note ON correction (note);
CREATE INDEX instance_look ON instance (look_at) WHERE look_at IS NOT NULL;
CREATE INDEX receipt_waiting ON receipt (destination, place, study, rank, series, ordinal)
        WHERE state IN ('WAITING', 'UNCERTAIN');
CREATE INDEX receipt_unverified ON receipt (destination, sent_at) WHERE state = 'SENT';
CREATE INDEX receipt_open ON receipt (destination, size, due_at)
        WHERE state IN ('WAITING', 'UNCERTAIN', 'SENT');
CREATE INDEX receipt_held ON receipt (held_at, hold_code, study) WHERE hold_code IS NOT NULL;
CREATE INDEX receipt_study ON receipt (study);
CREATE INDEX held_kind_of ON held_kind (sop_class, image_type);
COMMIT;
PRAGMA user_version = 7;
