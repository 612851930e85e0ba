package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"dpfpl/broker"
	"dpfpl/roles/replayer"
	"dpfpl/schemas"
	"dpfpl/schemas/logfile"
)

func newLogCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "log",
		Short: "keep a run in one file: export, import, verify, show, tail",
		Args:  inputArgs(cobra.NoArgs),
		RunE:  func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(newExportCommand(), newImportCommand(), newVerifyCommand(), newShowCommand(), newTailCommand())
	return c
}

func newExportCommand() *cobra.Command {
	var source sourceFlags
	var force bool
	c := &cobra.Command{
		Use:   "export FILE",
		Short: "write a run from a server to a file",
		Args:  inputArgs(cobra.ExactArgs(1)),
		RunE: func(c *cobra.Command, args []string) error {
			if err := replaceable(args[0], force); err != nil {
				return err
			}
			src, done, err := source.open(c.Context())
			if err != nil {
				return err
			}
			defer done()
			counts, err := writeFile(args[0], src)
			if err != nil {
				return err
			}
			fmt.Fprintf(c.OutOrStdout(), "%s: %d log messages, %d models, %d checkpoints\n", args[0], counts.Log, counts.Models, counts.Checkpoints)
			return nil
		},
	}
	source.register(c, false)
	c.Flags().BoolVar(&force, "force", false, "replace the file if it exists")
	return c
}

// writeFile writes a run to a file that appears under its name only when it is whole.
func writeFile(path string, src replayer.Source) (counts logfile.Counts, err error) {
	err = placeFile(path, 0o644, func(w io.Writer) (err error) {
		counts, err = writeRun(w, src)
		return err
	})
	return counts, err
}

func writeRun(w io.Writer, src replayer.Source) (logfile.Counts, error) {
	file, err := logfile.NewWriter(w)
	if err != nil {
		return logfile.Counts{}, err
	}
	for m, err := range src {
		if err == nil {
			err = file.Write(m)
		}
		if err != nil {
			return file.Counts(), err
		}
	}
	return file.Counts(), file.Close()
}

func newImportCommand() *cobra.Command {
	var source sourceFlags
	var options broker.StreamOptions
	c := &cobra.Command{
		Use:   "import FILE",
		Short: "store the run in a file on another server",
		Long: `Stores the run in a file on another server, under the same sequence numbers, and reads the log back to
compare its digest chain. The imported run is for reading, replay and export: an aggregator refuses to go on with
it, because the server's times differ from those in the checkpoint.`,
		Args: inputArgs(cobra.ExactArgs(1)),
		RunE: func(c *cobra.Command, args []string) error {
			sum, err := verifyFile(args[0])
			if err != nil {
				return err
			}
			conn, err := source.connect(c.Context())
			if err != nil {
				return err
			}
			defer conn.Close()
			src, done, err := openFile(args[0], false)
			if err != nil {
				return err
			}
			defer done()
			if err := conn.Import(c.Context(), src, options); err != nil {
				if errors.Is(err, broker.ErrLaxSync) {
					err = fmt.Errorf("%w: see --allow-lax", err)
				}
				return err
			}
			fmt.Fprintf(c.OutOrStdout(), "run %s: %d log messages, %d models, %d checkpoints stored\n",
				sum.Plan.Run, sum.Counts.Log, sum.Counts.Models, sum.Counts.Checkpoints)
			return nil
		},
	}
	source.register(c, false)
	c.Flags().Lookup("run").Hidden = true // the file names it
	c.Flags().BoolVar(&options.Memory, "memory", false, "keep the streams in memory")
	c.Flags().BoolVar(&options.AllowLax, "allow-lax", false, "accept a server that does not sync always")
	c.Flags().IntVar(&options.Replicas, "replicas", 1, "replicas of the streams")
	return c
}

func newVerifyCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "verify FILE",
		Short: "check a file byte by byte, record by record and signature by signature",
		Args:  inputArgs(cobra.ExactArgs(1)),
		RunE: func(c *cobra.Command, args []string) error {
			sum, err := verifyFile(args[0])
			if sum.Plan == nil {
				return err
			}
			state := "whole and authentic"
			if err != nil {
				state = "good up to here"
			}
			fmt.Fprintf(c.OutOrStdout(), "%s: %s: run %s, %d log messages up to sequence %d, %d models up to version %d, %d checkpoints",
				args[0], state, sum.Plan.Run, sum.Counts.Log, sum.Last, sum.Counts.Models, sum.Version, sum.Counts.Checkpoints)
			if sum.Strange > 0 {
				fmt.Fprintf(c.OutOrStdout(), "; log messages that their author did not sign, and that were refused: %d", sum.Strange)
			}
			fmt.Fprintln(c.OutOrStdout())
			return err
		},
	}
}

// verifyFile errors: inputError for a file that is no run log.
func verifyFile(path string) (logfile.Summary, error) {
	f, err := os.Open(path)
	if err != nil {
		return logfile.Summary{}, input(err)
	}
	defer f.Close()
	sum, err := logfile.Verify(f)
	if err != nil {
		err = inputIf(fmt.Errorf("%s: %w", path, err), logfile.ErrFormat, logfile.ErrVersion, syscall.EISDIR)
	}
	return sum, err
}

func newShowCommand() *cobra.Command {
	var source sourceFlags
	var show printer
	source.chained = true
	c := &cobra.Command{
		Use:   "show [FILE]",
		Short: "print the messages of a run",
		Args:  inputArgs(cobra.MaximumNArgs(1)),
		RunE: func(c *cobra.Command, args []string) error {
			if err := show.check(); err != nil {
				return err
			}
			source.file = strings.Join(args, "")
			src, done, err := source.open(c.Context())
			if err != nil {
				return err
			}
			defer done()
			for m, err := range src {
				if err != nil {
					return err
				}
				if err := show.print(c.OutOrStdout(), m); err != nil {
					return err
				}
			}
			return nil
		},
	}
	source.register(c, false)
	show.register(c)
	return c
}

func newTailCommand() *cobra.Command {
	var source sourceFlags
	var show printer
	var last int
	var follow bool
	c := &cobra.Command{
		Use:   "tail",
		Short: "print the newest log messages of a run on a server, and what follows",
		Args:  inputArgs(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			if err := show.check(); err != nil {
				return err
			}
			if source.run == "" {
				return input(fmt.Errorf("no run: give --run"))
			}
			conn, err := source.connect(c.Context())
			if err != nil {
				return err
			}
			defer conn.Close()
			return tail(c.Context(), conn, source.run, last, follow, func(m schemas.Message) error { return show.print(c.OutOrStdout(), m) })
		},
	}
	source.register(c, false)
	show.register(c)
	c.Flags().IntVarP(&last, "last", "n", 10, "how many messages to begin with")
	c.Flags().BoolVarP(&follow, "follow", "f", false, "wait for more, until interrupted")
	return c
}

// tail calls show with the last messages of a run's log, and if follow is set with what comes after, until
// ctx ends.
func tail(ctx context.Context, conn *broker.Conn, run string, last int, follow bool, show func(schemas.Message) error) error {
	var newest []schemas.Message
	from := uint64(1)
	for m, err := range conn.ReadLog(ctx, run, from) {
		if err != nil {
			return err
		}
		from = m.Seq + 1
		newest = append(newest, m)
		newest = slices.Delete(newest, 0, max(len(newest)-last, 0))
	}
	for _, m := range newest {
		if err := show(m); err != nil {
			return err
		}
	}
	pace := time.NewTicker(time.Second)
	defer pace.Stop()
	for follow {
		select {
		case <-ctx.Done():
			return nil
		case <-pace.C:
		}
		for m, err := range conn.ReadLog(ctx, run, from) {
			if err == nil {
				from = m.Seq + 1
				err = show(m)
			}
			if err != nil && ctx.Err() == nil {
				return err
			}
		}
	}
	return nil
}
