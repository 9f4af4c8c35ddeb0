// SPDX-License-Identifier: Apache-2.0

package cli

// What 'strongroom COMMAND --help' shows besides: how the command is typed, for those whose use doesn't follow from their flags alone.

// Help shows how it is used.
func (personPrepare) Help() string {
	return `For instance, for somebody who watches over risk:

    strongroom person prepare --key dave.key --domain domain.json --line 2 --role risk --out dave.enrol.json`
}

// Help shows how it is used.
func (domainFreeze) Help() string {
	return `For instance:

    strongroom domain freeze --reason "a laptop with a key is missing"

Who may stands in breakGlass.freeze of the rules; without breakGlass, administrators. 'strongroom domain unfreeze' asks for its end.`
}

// Help shows how it is used.
func (domainUnfreeze) Help() string {
	return `For instance:

    strongroom domain unfreeze --reason "the laptop is back"

Approved by those who approve changes of the rules.`
}

// Help shows how it is used.
func (domainDrain) Help() string {
	return `For instance:

    strongroom domain drain --reason "the machine is not to be trusted"
    strongroom request transfer --wallet hot --to vault=1eth --fee-cap 0.01eth

It needs breakGlass in the rules, which names destinations, plans and time. 'strongroom domain resume' asks for its end.`
}

// Help shows how it is used.
func (requestHold) Help() string {
	return `For instance:

    strongroom request hold 1f0c9a77 --reason "nobody knows this invoice"

In rules without lines of defence administrators can. 'strongroom request release' asks for the end.`
}

// Help shows how it is used.
func (requestRelease) Help() string {
	return `For instance:

    strongroom request release 1f0c9a77 --reason "the invoice is real"

It shows whose hold it is, and names it by its entry, so that what is approved ends no later hold.`
}

// Help shows how it is used.
func (requestTransfer) Help() string {
	return `For instance, to a name of the address book, and to an address:

    strongroom request transfer --wallet ether --to exchange=0.5eth --fee-cap 0.01eth
    strongroom request transfer --wallet coins --to bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080=0.4btc --fee-cap 0.001btc`
}

// Help shows how it is used.
func (walletCreate) Help() string {
	return `For instance:

    strongroom wallet create ether --chain eip155:1
    strongroom wallet create coins --chain bitcoin --scheme p2tr`
}

// Help shows how it is used.
func (pointsSet) Help() string {
	return `For instance:

    strongroom domain points set --allow contract-call,message-sign`
}

// Help shows how it is used.
func (whitelistChallenge) Help() string {
	return `For instance, and then with the signature that the owner sent back:

    strongroom whitelist challenge vendor 0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359 --chain eip155:1
    strongroom whitelist add vendor 0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359 --chain eip155:1 --proof signature.txt

The signed text ends with the last digit of the challenge, without a line feed; -o json gives it so.`
}

// Help shows how it is used.
func (whitelistAdd) Help() string {
	return `For instance:

    strongroom whitelist add vendor 0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359 --chain eip155:1 --proof signature.txt --counterparty acme --kind vendor

signature.txt has what a wallet shows: 0x and 130 hex digits, or base64. Other proofs are JSON, for instance
{"kind": "attested", "note": "read back on the telephone"}.`
}

// Help shows how it is used.
func (whitelistReview) Help() string {
	return `For instance:

    strongroom whitelist review exchange vendor
    strongroom whitelist review vendor --resume`
}

// Help shows how it is used.
func (blacklistAdd) Help() string {
	return `For instance:

    strongroom blacklist add 0x52908400098527886E0F7030069857D2E4169EE7 --chain eip155:1 --reason "hacked exchange"`
}

// Help shows how it is used.
func (callCreate) Help() string {
	return `For instance:

    strongroom call create --wallet ether --contract 0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48 --function 'approve(address,uint256)' \
      --args '["0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed", "1000000"]' --fee-cap 0.01eth

The contract stands in the rules (contracts), a route lets the call through, and the control point contract-call is on.`
}

// Help shows how it is used.
func (messageSign) Help() string {
	return `For instance:

    strongroom message sign --wallet ether --text "I am the owner of this address."
    strongroom message sign --wallet ether --typed permit.json

A route of the rules lets it through, and the control point message-sign is on. 'strongroom request sign ID' then gives the
signature.`
}

// Help shows how it is used.
func (policyCheck) Help() string {
	return `For instance, where the file calls its people by label:

    strongroom policy check rules.yaml --person alice.pub.json --person bob.pub.json

It ends with status 9 if some rule does nothing. examples/rules has files to start from.`
}

// Help shows how it is used.
func (policyPropose) Help() string {
	return `For instance:

    strongroom policy show >rules.yaml
    strongroom policy check rules.yaml
    strongroom policy diff rules.yaml
    strongroom policy propose rules.yaml`
}
