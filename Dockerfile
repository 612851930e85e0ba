# Three images from one build, all static, from scratch and for any user: what one deploys, the broker at the version in
# go.sum, and the testbed, for pictures to try the others with.
#   docker build --target dpfpl --tag dpfpl .
#   docker build --target nats --tag dpfpl-nats .
#   docker build --target sample --tag dpfpl-sample .
FROM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY schemas schemas
COPY mathx mathx
COPY broker broker
COPY roles roles
ENV CGO_ENABLED=0
RUN go build -trimpath -ldflags=-s -o /out/dpfpl ./roles
RUN go build -trimpath -ldflags=-s -o /out/nats-server github.com/nats-io/nats-server/v2
# Volumes take over the mode of the folder they cover: whoever the container runs as may write.
RUN mkdir -m 1777 /out/data /out/tmp

FROM build AS build-sample
COPY testbed testbed
RUN go build -trimpath -ldflags=-s -o /out/testbed ./testbed

FROM scratch AS sample
COPY --from=build-sample /out/testbed /
USER 65532:65532
ENTRYPOINT ["/testbed"]

FROM scratch AS nats
COPY --from=build /out/data /data
COPY --from=build /out/nats-server /out/dpfpl /
USER 65532:65532
VOLUME /data
EXPOSE 4222
ENTRYPOINT ["/nats-server"]
CMD ["--config", "/server.conf"]

FROM scratch AS dpfpl
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build /out/data /data
COPY --from=build /out/tmp /tmp
COPY --from=build /out/dpfpl /
USER 65532:65532
VOLUME /data
ENTRYPOINT ["/dpfpl"]
CMD ["--help"]
