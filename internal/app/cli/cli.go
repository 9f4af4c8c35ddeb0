// SPDX-License-Identifier: Apache-2.0

// Package cli is the command line: strongroom noun verb. Data goes to standard output, as a table or as JSON; words go to standard error,
// failures as "strongroom: error: …" with a "strongroom: hint: …" that names what to do, or with -o json as one line of JSON.
//
// What signs runs here, at the person: requests and approvals are built, decoded and compared with a second decoder on this machine before
// the key is used. It refuses to sign what two decoders read differently, what belongs to another domain than the identity's, and, without
// --yes, what nobody confirmed. Secrets come from a terminal or a file descriptor, never from arguments or the environment.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/alecthomas/kong"
)

// Streams are what the program talks to.
type Streams struct {
	In  *os.File
	Out io.Writer
	Err io.Writer
}

// root is the command line.
type root struct {
	Output        string `group:"common" short:"o" enum:"table,json" default:"table" help:"How data is written: table or json."`
	Server        string `group:"common" env:"STRONGROOM_SERVER" placeholder:"URL" help:"Where serve is, https://host:port; default: as the identity says."`
	Identity      string `group:"common" env:"STRONGROOM_IDENTITY" placeholder:"DIR" help:"Folder with your client certificate; 'strongroom person certificate' makes it."`
	Key           string `group:"common" env:"STRONGROOM_KEY" placeholder:"FILE" help:"Your approval key: a file, or one in a token as a URI, pkcs11:token=LABEL;object=LABEL (RFC 7512); default: as the identity says."`
	Domain        string `group:"common" env:"STRONGROOM_DOMAIN" placeholder:"FILE" help:"Public file of the domain (domain.json); default: as the identity says."`
	Config        string `group:"common" env:"STRONGROOM_CONFIG" placeholder:"FILE" help:"Defaults of server, identity, key and domain (YAML); default: strongroom/config.yaml in your configuration folder."`
	PassphraseFor int    `group:"common" name:"key-passphrase-fd" default:"-1" placeholder:"N" help:"Read the approval key's passphrase, or its token's PIN, from this file descriptor."`
	KeyModule     string `group:"common" name:"key-module" env:"STRONGROOM_KEY_MODULE" placeholder:"PATH" help:"PKCS#11 library of the token with your approval key, where its URI has no module-path."`
	SignCalls     bool   `group:"common" name:"sign-calls" env:"STRONGROOM_SIGN_CALLS" help:"Show who you are by signing each call with your approval key (RFC 9421), instead of a client certificate."`
	CA            string `group:"common" name:"ca" env:"STRONGROOM_CA" placeholder:"FILE" help:"Certificate authority of serve (ca.pem); default: the identity's."`

	Domains   domainCmd    `cmd:"" name:"domain" help:"Make a domain, and say what it is."`
	Ceremony  ceremonyCmd  `cmd:"" help:"Key ceremonies: making, restoring and sharing a domain's master secret."`
	Custodian custodianCmd `cmd:"" help:"What a custodian does with their share, on a machine of their own."`
	HSM       hsmCmd       `cmd:"" name:"hsm" help:"Tokens that can be a root of trust."`
	Core      coreCmd      `cmd:"" help:"Run the process that holds keys ('strongroom core --help' lists its commands)." passthrough:"all"`
	Serve     serveCmd     `cmd:"" help:"Run the REST API and the work around it; it holds no keys."`
	GREP11    grep11Cmd    `cmd:"" name:"grep11" help:"The GREP11 gateway: keys of applications over gRPC."`
	Up        upCmd        `cmd:"" help:"Run core and serve together, and the GREP11 gateway if asked, for evaluation."`
	Logstore  logstoreCmd  `cmd:"" help:"Keep a domain's log in PostgreSQL; it holds no keys."`
	Witness   witnessCmd   `cmd:"" help:"A log witness, which vouches that logs of other people only grow."`
	Status    statusCmd    `cmd:"" help:"How the domain, its log and the nodes are."`
	Person    personCmd    `cmd:"" help:"People and services: keys, enrolment, certificates."`
	Login     loginCmd     `cmd:"" help:"Logins to the pages by password and code, where the server takes them."`
	Group     groupCmd     `cmd:"" help:"Groups of people that rules name."`
	Whitelist whitelistCmd `cmd:"" help:"The address book: destinations that rules may call whitelisted."`
	Blacklist blacklistCmd `cmd:"" help:"Addresses that nothing is paid to."`
	Policy    policyCmd    `cmd:"" help:"The rule document."`
	Limit     limitCmd     `cmd:"" help:"Limits of the rule document."`
	Wallet    walletCmd    `cmd:"" help:"Wallets."`
	Call      callCmd      `cmd:"" help:"Calls of contracts."`
	Message   messageCmd   `cmd:"" help:"Messages: typed data and plain text."`
	Warm      warmCmd      `cmd:"" help:"Sessions of warm wallets."`
	App       appCmd       `cmd:"" help:"Grants: what applications may do with keys of their own."`
	Cold      coldCmd      `cmd:"" help:"Cold wallets: offline domains, and what is carried to them and back."`
	Address   addressCmd   `cmd:"" help:"Addresses of wallets."`
	Request   requestCmd   `cmd:"" help:"Ask, approve, follow."`
	Proof     proofCmd     `cmd:"" help:"Proof files."`
	Verify    verifyCmd    `cmd:"" help:"Check a proof file offline, as strongroom-verify does." passthrough:"all"`
	Audit     auditCmd     `cmd:"" help:"The log."`
	Watch     watchCmd     `cmd:"" help:"Follow the log in plain words, proving each entry."`
	Chain     chainCmd     `cmd:"" help:"Chains and their nodes."`
	Price     priceCmd     `cmd:"" help:"What assets are worth: signed quotes that rules in money need."`
	Screening screeningCmd `cmd:"" help:"Who is risky to pay: signed verdicts that rules on screening need."`
	Complete  completeCmd  `cmd:"" name:"completion" help:"Write a completion script for bash."`
	Version   versionCmd   `cmd:"" help:"Say which version this is."`
}

const description = `Strongroom holds keys of digital assets: nothing moves unless written rules and the right people say so, and both can be proved.

First steps: 'strongroom person new', 'strongroom domain create', 'strongroom up'.

With -o json data is JSON, and a failure is one line on standard error: {"error":{"kind":…,"detail":…,"hint":…}}.

Exit status: ` + exitHelp

// exited carries the exit status of kong's own exits (help) out of the parser.
type exited int

// Main runs a command line, without the program's name, and gives the exit status.
func Main(ctx context.Context, args []string, s Streams) (code int) {
	var r root
	defer func() {
		if x := recover(); x != nil {
			e, ok := x.(exited)
			if !ok {
				panic(x)
			}
			code = int(e)
		}
	}()
	parser, err := kong.New(&r, kong.Name("strongroom"), kong.Description(description), kong.Writers(s.Out, s.Err),
		kong.Exit(func(c int) { panic(exited(c)) }), kong.ConfigureHelp(kong.HelpOptions{Compact: true, NoExpandSubcommands: true, WrapUpperBound: 110}),
		kong.ExplicitGroups([]kong.Group{{Key: "common", Title: "Flags of every command:"}}))
	if err != nil {
		return report(s.Err, fmt.Errorf("command line: %w", err), "", wantsJSON(args))
	}
	if len(args) == 0 {
		args = []string{"--help"}
	}
	k, err := parser.Parse(args)
	if err != nil {
		return report(s.Err, &usageError{err}, helpFor(err), wantsJSON(args))
	}
	e, err := newEnv(ctx, &r, s, parser.Model)
	if err != nil {
		return report(s.Err, err, "", r.Output == "json")
	}
	err = k.Run(e)
	return report(s.Err, errors.Join(err, e.close()), "", e.json())
}

// helpFor names the help of the command that was not understood.
func helpFor(err error) string {
	var p *kong.ParseError
	if errors.As(err, &p) && p.Context != nil {
		if cmd := p.Context.Command(); cmd != "" {
			words, _, _ := strings.Cut(cmd, " <")
			return fmt.Sprintf("strongroom %s --help", words)
		}
	}
	return "strongroom --help"
}
