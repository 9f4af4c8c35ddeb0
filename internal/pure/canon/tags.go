// SPDX-License-Identifier: Apache-2.0

package canon

// Tag is a domain-separation tag: what a hash, signature or MAC is for. All of them stand here, none twice (a test checks).
// A tag's meaning never changes; a new meaning gets a new tag.
type Tag string

// The tags. The last part is the version of the thing that is hashed or signed.
const (
	TagBody       Tag = "strongroom/body/v1"              // a body of a log entry, with its salt
	TagStateRoot  Tag = "strongroom/state-root/v1"        // root over the section hashes of a state
	TagSection    Tag = "strongroom/state-section/v1"     // one section of a state
	TagChain      Tag = "strongroom/state-chain/v1"       // running hash of an append-only list in a state
	TagRequestID  Tag = "strongroom/request-id/v1"        // authority, initiator, idempotency key
	TagRequest    Tag = "strongroom/request/v1"           // a request, signed or MACed by its initiator
	TagSession    Tag = "strongroom/session/v1"           // opening of a service's session, signed by the service
	TagSessionKey Tag = "strongroom/session-key/v1"       // key agreement of a session
	TagStatement  Tag = "strongroom/approval/v1"          // approval statement, signed by an approver
	TagPolicy     Tag = "strongroom/policy/v1"            // rule document
	TagGenesis    Tag = "strongroom/genesis/v1"           // genesis, signed by each first person
	TagEnrol      Tag = "strongroom/enrol/v1"             // possession of a new approval key, signed with it
	TagBlob       Tag = "strongroom/blob/v1"              // header of a blob
	TagBlobHash   Tag = "strongroom/blob-hash/v1"         // whole blob, as the log names it
	TagPayload    Tag = "strongroom/payload/v1"           // unsigned bytes a permit is for
	TagPermitAux  Tag = "strongroom/permit-aux/v1"        // auxiliary randomness of a signature
	TagAddresses  Tag = "strongroom/addresses/v1"         // batch of derived addresses
	TagReply      Tag = "strongroom/reply/v1"             // grant of a session, signed with the domain identity key
	TagReceipt    Tag = "strongroom/receipt/v1"           // receipt of a core for an act
	TagDecision   Tag = "strongroom/decision/v1"          // a person's signed decision, as a receipt names it
	TagSeal       Tag = "strongroom/seal/v1"              // something sealed by the root of trust
	TagPKCS11     Tag = "strongroom/token-root/v1"        // what a root on a token derives, names and authenticates
	TagTokenKey   Tag = "strongroom/token-key/v1"         // what a blob has of a key that lies in the token: its public key
	TagReadKey    Tag = "strongroom/read-key/v1"          // read key of a period
	TagSalt       Tag = "strongroom/salt/v1"              // salt of a body
	TagSnapshot   Tag = "strongroom/snapshot/v1"          // snapshot file
	TagProof      Tag = "strongroom/proof/v1"             // proof file
	TagWriter     Tag = "strongroom/writer/v1"            // take-over of a log by a writer
	TagPattern    Tag = "strongroom/pattern/v1"           // verification pattern of a working key, and the key it is made with
	TagMeter      Tag = "strongroom/meter/v1"             // meter of a limit: what it counts, and for whom
	TagSlot       Tag = "strongroom/slot/v1"              // slot of a wallet
	TagAddressKey Tag = "strongroom/address-ownership/v1" // proof of ownership of an address: what its challenge binds
	TagPaid       Tag = "strongroom/paid-destination/v1"  // destination that was paid, and what people compare of it
	TagScript     Tag = "strongroom/ceremony-script/v1"   // script of a ceremony, as its hash on page one
	TagRecord     Tag = "strongroom/ceremony-record/v1"   // record of a ceremony's transcript: its hash, and its actor's signature
	TagClose      Tag = "strongroom/ceremony-close/v1"    // signature of a participant over a whole transcript
	TagTPM        Tag = "strongroom/tpm/v1"               // what is derived for a TPM: keys, authorization values, places
	TagMark       Tag = "strongroom/mark/v1"              // a mark of the anchor that counts in a TPM, and the key it is made with
	TagCertify    Tag = "strongroom/certificate/v1"       // a person's asking for a client certificate, signed with an approval key
	TagKeyAdd     Tag = "strongroom/key-add/v1"           // possession of a further key of a person, signed with it
	TagSignIn     Tag = "strongroom/sign-in/v1"           // a person's signing in to the pages of serve, signed with a passkey

	TagRecoveryRecord Tag = "strongroom/recovery-record/v1" // recovery record of a domain
	TagBlobList       Tag = "strongroom/blob-list/v1"       // list of blobs that the log has given up
	TagStatus         Tag = "strongroom/status/v1"          // status of a core, signed with the domain identity key

	TagReanchor Tag = "strongroom/reanchor/v1" // re-anchor document, signed by people of the recovery plan

	TagBackup   Tag = "strongroom/backup/v1"          // key of a pack of a backup
	TagManifest Tag = "strongroom/backup-manifest/v1" // manifest of a backup, signed with the domain identity key

	TagRecovery     Tag = "strongroom/recovery/v1"        // recovery key that follows from the master secret
	TagRecoverySeal Tag = "strongroom/recovery-seal/v1"   // something sealed to a recovery key
	TagGenerator    Tag = "strongroom/share-generator/v1" // second generator of the commitments to shares
	TagCommitments  Tag = "strongroom/commitments/v1"     // commitments to the shares of a master secret
	TagSplit        Tag = "strongroom/split/v1"           // coefficients of a sharing
	TagSource       Tag = "strongroom/entropy-source/v1"  // commitment of a source to what it gave to a ceremony
	TagMix          Tag = "strongroom/entropy-mix/v1"     // master secret and seed of a split, mixed from all sources
	TagShare        Tag = "strongroom/share/v1"           // something sealed to a custodian
	TagShareReceipt Tag = "strongroom/share-receipt/v1"   // custodian's receipt for a share, signed by them
	TagImport       Tag = "strongroom/share-import/v1"    // share on its way to a load
	TagImporter     Tag = "strongroom/importer/v1"        // importer key of a load, as people compare it

	TagAppParent      Tag = "strongroom/app-parent/v1"      // application parent key of an epoch
	TagAppBlob        Tag = "strongroom/app-blob/v1"        // key that an application holds
	TagAppPublic      Tag = "strongroom/app-public/v1"      // authentication of an application's public key
	TagAppState       Tag = "strongroom/app-state/v1"       // operation of an application between its parts
	TagAppSession     Tag = "strongroom/app-session/v1"     // session of an application's login
	TagAppBound       Tag = "strongroom/app-bound/v1"       // key and attributes wrapped together
	TagAppCall        Tag = "strongroom/app-call/v1"        // call of a gateway for an application, MACed with its session's key
	TagAppOwner       Tag = "strongroom/app-owner/v1"       // who holds keys for applications: gateway and caller
	TagAppLogin       Tag = "strongroom/app-login/v1"       // key from which the ids of login sessions follow
	TagOfflineBundle  Tag = "strongroom/offline-bundle/v1"  // head of a bundle to an offline domain, signed by the online one
	TagOfflineResult  Tag = "strongroom/offline-result/v1"  // head of a result of an offline domain, signed by it
	TagOfflineConfirm Tag = "strongroom/offline-confirm/v1" // what the operators of an offline domain sign
	TagOfflineMove    Tag = "strongroom/offline-move/v1"    // what a seed that moves between domains is sealed for
	TagOfflineKey     Tag = "strongroom/offline-key/v1"     // keys that an offline domain is sealed to

	TagReplayReport Tag = "strongroom/replay-report/v1" // what a replay of a log under other rules found
	TagQuote        Tag = "strongroom/quote/v1"         // what an asset is worth, signed by a source of prices
	TagVerdict      Tag = "strongroom/verdict/v1"       // the risk of a subject, signed by a source of screening
)

// Tags lists every tag above, for the tests that it leaves none out and that no two are alike.
func Tags() []Tag {
	return []Tag{TagBody, TagStateRoot, TagSection, TagChain, TagRequestID, TagRequest, TagSession, TagSessionKey, TagStatement, TagPolicy,
		TagGenesis, TagEnrol, TagBlob, TagBlobHash, TagPayload, TagPermitAux, TagAddresses, TagReply, TagReceipt, TagDecision, TagSeal,
		TagPKCS11, TagTokenKey, TagReadKey, TagSalt, TagSnapshot, TagProof, TagWriter, TagPattern, TagMeter, TagSlot, TagAddressKey,
		TagPaid, TagScript, TagRecord, TagClose, TagTPM, TagMark, TagCertify, TagKeyAdd, TagSignIn, TagRecoveryRecord, TagBlobList,
		TagStatus, TagReanchor, TagBackup, TagManifest, TagRecovery, TagRecoverySeal, TagGenerator, TagCommitments, TagSplit, TagSource,
		TagMix, TagShare, TagShareReceipt, TagImport, TagImporter, TagAppParent, TagAppBlob, TagAppPublic, TagAppState, TagAppSession,
		TagAppBound, TagAppCall, TagAppOwner, TagAppLogin, TagOfflineBundle, TagOfflineResult, TagOfflineConfirm, TagOfflineMove,
		TagOfflineKey, TagReplayReport, TagQuote, TagVerdict}
}
