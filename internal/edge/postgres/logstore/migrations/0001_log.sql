-- SPDX-License-Identifier: Apache-2.0
-- Entries of domain logs, and for each log its head: the number of entries and the epoch of its writer.

CREATE TABLE strongroom_log.heads (
    id     integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name   text    NOT NULL UNIQUE CHECK (octet_length(name) BETWEEN 1 AND 200),
    size   bigint  NOT NULL DEFAULT 0 CHECK (size >= 0),
    writer bigint  NOT NULL DEFAULT 0 CHECK (writer >= 0)
);

CREATE TABLE strongroom_log.entries (
    log    integer NOT NULL REFERENCES strongroom_log.heads (id),
    seq    bigint  NOT NULL CHECK (seq >= 0),
    leaf   bytea   NOT NULL,
    bodies bytea   NOT NULL, -- canonical CBOR, a list of byte strings
    bytes  integer NOT NULL, -- of leaf and bodies
    crc    bigint  NOT NULL, -- CRC32C, to name damage; integrity is the reader's business
    PRIMARY KEY (log, seq)
);

-- Hashes and ciphertext do not get shorter.
ALTER TABLE strongroom_log.entries ALTER COLUMN leaf SET STORAGE EXTERNAL, ALTER COLUMN bodies SET STORAGE EXTERNAL;
