package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/nats-io/nkeys"
	"github.com/spf13/cobra"

	"dpfpl/roles/promptfile"
	"dpfpl/schemas"
)

func newPromptCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "prompt",
		Short: "personal prompts as files: export, import, inspect",
		Long: `A personal prompt is the global prompt of a run plus what one client has learned for itself. As a file it is a
small safetensors file, which Python's safetensors reads, too: one tensor, and as metadata what it is for, what one
record of the client has spent on it, and the client's signature.`,
		Args: inputArgs(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(newPromptExportCommand(), newPromptImportCommand(), newPromptInspectCommand())
	return c
}

// readPrompt reads a prompt file, which signer must have signed unless that is empty. Errors: inputError.
func readPrompt(path, signer string) (f *promptfile.File, raw []byte, err error) {
	if signer != "" && !nkeys.IsValidPublicKey(signer) {
		return nil, nil, flagError("signer", signer, "a public key")
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, nil, input(err)
	}
	defer file.Close()
	if raw, err = io.ReadAll(io.LimitReader(file, promptfile.MaxSize+1)); err != nil {
		return nil, nil, input(err)
	}
	if f, err = promptfile.Open(raw); err != nil {
		return nil, nil, input(fmt.Errorf("%s: %w", path, err))
	}
	if signer != "" && f.Signer != signer {
		return nil, nil, input(fmt.Errorf("%s: %w: signed by %s, want %s", path, promptfile.ErrSignature, f.Signer, signer))
	}
	return f, raw, nil
}

// writePrompt puts a file in its place. Errors: inputError if it exists.
func writePrompt(path string, raw []byte, force bool) error {
	if err := replaceable(path, force); err != nil {
		return err
	}
	return placeFile(path, 0o644, content(raw))
}

func newPromptInspectCommand() *cobra.Command {
	var signer string
	var asJSON bool
	c := &cobra.Command{
		Use:   "inspect FILE",
		Short: "say what a prompt file is, and whom it protects against whom",
		Long: `Checks a prompt file and its signature and says in words what it is for and what it tells of the client's
records. The file names its signer; whether that is whom you trust only --signer can tell.`,
		Example: "  dpfpl prompt inspect north.safetensors\n  dpfpl prompt inspect north.safetensors --json --signer UABC…",
		Args:    inputArgs(cobra.ExactArgs(1)),
		RunE: func(c *cobra.Command, args []string) error {
			f, raw, err := readPrompt(args[0], signer)
			if err != nil {
				return err
			}
			if !asJSON {
				_, err = io.WriteString(c.OutOrStdout(), f.Words())
				return err
			}
			text, err := f.JSON(raw)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(c.OutOrStdout(), "%s\n", text)
			return err
		},
	}
	c.Flags().StringVar(&signer, "signer", "", "public `key` that must have signed it")
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

// promptImportFlags are those of dpfpl prompt import.
type promptImportFlags struct {
	source                  sourceFlags
	signer, operator, model string
	out                     string
	force                   bool
}

func newPromptImportCommand() *cobra.Command {
	var f promptImportFlags
	c := &cobra.Command{
		Use:   "import FILE",
		Short: "check somebody's prompt and keep it for predictions",
		Long: `Checks a prompt file: that it is whole, signed by whom you trust, for the model that you hold, and of sane numbers; then
copies it. Whom you trust is either a key (--signer), or the run's plan, signed by its operator (--operator, and --log
or --nats with --run): then the file must bear the signature of the member whom it names, and agree with the plan.`,
		Example: `  dpfpl prompt import north.safetensors --signer UABC… --model clip --out prompts/north.safetensors
  dpfpl prompt import north.safetensors --log run.dpfpl --operator UABC… --model clip --out prompts/north.safetensors`,
		Args: inputArgs(cobra.ExactArgs(1)),
		RunE: func(c *cobra.Command, args []string) error { return f.run(c, args[0]) },
	}
	f.source.register(c, true)
	c.Flags().StringVar(&f.signer, "signer", "", "public `key` that must have signed it")
	c.Flags().StringVar(&f.operator, "operator", "", "public `key` of the operator who must have signed the plan")
	c.Flags().StringVar(&f.model, "model", "", "`folder` of the CLIP model that it is to be used with")
	c.Flags().StringVar(&f.out, "out", "", "`file` to keep it in")
	c.Flags().BoolVar(&f.force, "force", false, "replace the file if it exists")
	return c
}

func (f *promptImportFlags) run(c *cobra.Command, path string) error {
	switch {
	case f.out == "":
		return input(errors.New("no place for it: give --out"))
	case f.operator != "" && !nkeys.IsValidPublicKey(f.operator):
		return input(fmt.Errorf("--operator %q: want the operator's public key", f.operator))
	case (f.signer == "") == (f.operator == ""):
		return input(errors.New("whose signature counts? give either --signer, or --operator with --log or --nats"))
	}
	p, raw, err := readPrompt(path, f.signer)
	if err != nil {
		return err
	}
	if f.operator != "" {
		if err := f.check(c, path, p); err != nil {
			return inputIf(err, errNotOfPlan)
		}
	}
	model, err := openModel(f.model)
	if err != nil {
		return err
	}
	defer model.Close()
	if err := fits(model, p); err != nil {
		return input(fmt.Errorf("%s: %w", path, err))
	}
	if err := writePrompt(f.out, raw, f.force); err != nil {
		return err
	}
	_, err = io.WriteString(c.OutOrStdout(), p.Words())
	return err
}

// errNotOfPlan means that a prompt is not what the plan of its run allows.
var errNotOfPlan = errors.New("the prompt does not agree with the plan")

// check holds a prompt against the plan of its run.
func (f *promptImportFlags) check(c *cobra.Command, path string, p *promptfile.File) error {
	src, done, err := f.source.open(c.Context())
	if err != nil {
		return err
	}
	defer done()
	for m, err := range src {
		if err != nil {
			return err
		}
		if m.Body == nil && m.Err == nil {
			m.Body, m.Err = schemas.Open(m.Raw)
		}
		plan, err := verifiedPlan(m, p.Run, f.operator)
		if err != nil {
			return err
		}
		return about(path, agrees(p, plan, schemas.Digest(m.Raw)))
	}
	return errors.New("the run is empty")
}

// agrees errors: errNotOfPlan, naming the field.
func agrees(p *promptfile.File, plan *schemas.Plan, digest [32]byte) error {
	i := slices.IndexFunc(plan.Members, func(m schemas.Member) bool { return m.ID == p.Client })
	for _, c := range []struct {
		ok    bool
		field string
	}{
		{i >= 0, "client"}, {i >= 0 && plan.Members[max(i, 0)].Key == p.Signer, "signer"}, {fmt.Sprintf("%x", digest) == p.Plan, "plan"},
		{plan.Backbone == p.Backbone, "backbone"}, {slices.Equal(plan.Classes, p.Classes), "classes"}, {plan.Method.Name == p.Method, "method"},
		{int(plan.Prompt.Context) == p.Rows && int(plan.Prompt.Width) == p.Width, "context"}, {p.Version <= uint64(plan.Versions), "model_version"},
	} {
		if !c.ok {
			return fmt.Errorf("%w: %s", errNotOfPlan, c.field)
		}
	}
	return nil
}
