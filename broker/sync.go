package broker

import (
	"context"
	"encoding/json"
	"fmt"
	"time"
)

// checkSync refuses servers that do not sync always. The setting is per server and visible only to the
// system account.
func (c *Conn) checkSync(ctx context.Context, o StreamOptions) error {
	if o.AllowLax || o.Memory {
		return nil
	}
	if o.System == nil {
		return fmt.Errorf("%w, or it could not be asked: give a connection in the system account, or accept the risk of losing acknowledged updates with the power", ErrLaxSync)
	}
	servers, err := o.System.syncAlways(ctx)
	if err != nil {
		return err
	}
	for name, always := range servers {
		if !always {
			return fmt.Errorf("%w: %s; set jetstream { sync_interval: always }, or accept the risk of losing acknowledged updates with the power", ErrLaxSync, name)
		}
	}
	return nil
}

// syncAlways asks every server within reach whether it syncs always.
func (c *Conn) syncAlways(ctx context.Context) (map[string]bool, error) {
	inbox, err := c.nc.SubscribeSync(c.nc.NewRespInbox())
	if err != nil {
		return nil, fmt.Errorf("broker: ask servers: %w", err)
	}
	defer inbox.Unsubscribe() //nolint:errcheck // the subscription ends with the connection at the latest
	if err := c.nc.PublishRequest("$SYS.REQ.SERVER.PING.VARZ", inbox.Subject, nil); err != nil {
		return nil, fmt.Errorf("broker: ask servers: %w", err)
	}
	servers := map[string]bool{}
	patience := min(c.timeout, 5*time.Second)
	for {
		wait, cancel := context.WithTimeout(ctx, patience)
		m, err := inbox.NextMsgWithContext(wait)
		cancel()
		if err != nil {
			if len(servers) > 0 && ctx.Err() == nil {
				return servers, nil
			}
			return nil, fmt.Errorf("%w, or it could not be asked: is the connection in the system account? %v", ErrLaxSync, err)
		}
		var answer struct {
			Server struct {
				Name string `json:"name"`
			} `json:"server"`
			Data struct {
				JetStream struct {
					Config *struct {
						SyncAlways bool `json:"sync_always"`
					} `json:"config"`
				} `json:"jetstream"`
			} `json:"data"`
		}
		if err := json.Unmarshal(m.Data, &answer); err != nil {
			return nil, fmt.Errorf("broker: ask servers: %w", err)
		}
		if config := answer.Data.JetStream.Config; config != nil {
			servers[answer.Server.Name] = config.SyncAlways
		}
		patience = 300 * time.Millisecond // for the other servers of a cluster
	}
}
