// SPDX-License-Identifier: Apache-2.0

package message

// Methods of backups. docs/spec/backup.md. One backup and one check run at a time; opening another ends the one before.
const (
	MethodBackupOpen  = "backup-open"        // [BackupOpen] → [BackupOpened]
	MethodBackupNext  = "backup-next"        // [BackupNext] → [BackupPart]
	MethodBackupClose = "backup-close"       // [BackupRun] → [BackupManifest]
	MethodCheckOpen   = "backup-check-open"  // [BackupManifest] → [BackupRun]
	MethodCheckNext   = "backup-check-next"  // [BackupPiece] → [BackupChecked]
	MethodCheckClose  = "backup-check-close" // [BackupRun] → [BackupChecked]
)

// BackupSlice is how much of a pack one message carries, in bytes.
const BackupSlice = 4 << 20

// BackupOpen begins a backup. With a manifest, only what came after it is written.
type BackupOpen struct {
	Manifest []byte `cbor:"1,keyasint,omitempty"` // the newest in the folder
}

// BackupOpened says which entries the backup adds. First == End: there is nothing to add, and nothing was opened.
type BackupOpened struct {
	Run   []byte `cbor:"1,keyasint"` // names the backup: 16 bytes
	First uint64 `cbor:"2,keyasint"`
	End   uint64 `cbor:"3,keyasint"`

	TokenKeys uint64 `cbor:"4,keyasint,omitempty"` // keys that lie in the token: the backup has their public keys, and can't have them
}

// BackupNext asks for a part of a pack, by its place among those of the run. It can be asked again for the same pack, not for one before.
type BackupNext struct {
	Run    []byte `cbor:"1,keyasint"`
	Pack   uint64 `cbor:"2,keyasint"`
	Offset uint64 `cbor:"3,keyasint"`
}

// BackupPart is a part of a pack of the entries [First, End). Size 0: there are no more packs.
type BackupPart struct {
	First uint64 `cbor:"1,keyasint"`
	End   uint64 `cbor:"2,keyasint"`
	Size  uint64 `cbor:"3,keyasint"` // of the whole pack
	Bytes []byte `cbor:"4,keyasint"`
}

// BackupRun names a backup or a check.
type BackupRun struct {
	Run []byte `cbor:"1,keyasint"`
}

// BackupManifest is a manifest, as it lies in the folder.
type BackupManifest struct {
	Manifest []byte `cbor:"1,keyasint"`
}

// BackupPiece hands a part of a pack in to be checked. Packs come in order, and their parts too; the last part given can be given again.
type BackupPiece struct {
	Run    []byte `cbor:"1,keyasint"`
	Pack   uint64 `cbor:"2,keyasint"`
	Offset uint64 `cbor:"3,keyasint"`
	Bytes  []byte `cbor:"4,keyasint"`
}

// BackupChecked says what was found in order so far.
type BackupChecked struct {
	Entries uint64 `cbor:"1,keyasint"`
	Blobs   uint64 `cbor:"2,keyasint"` // their hash is the one that the log names
	Opened  uint64 `cbor:"3,keyasint"` // of these: opened under a working key
	Keys    uint64 `cbor:"4,keyasint"` // in use at the end of the backup, each with its blob; only from a close
	Copies  bool   `cbor:"5,keyasint"` // the manifest has sealed copies, so that custodians can restore with it alone

	TokenKeys uint64 `cbor:"6,keyasint,omitempty"` // of Keys: those that lie in the token, and not in the backup; only from a close
}
