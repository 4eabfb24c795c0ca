{{- /* What no schema can say: values that do not go together. Each message names value and limit. */ -}}
{{- define "evenface.checks" -}}
{{- include "evenface.checks.shutdown" . -}}
{{- include "evenface.checks.pods" . -}}
{{- include "evenface.checks.model" . -}}
{{- include "evenface.checks.access" . -}}
{{- include "evenface.checks.jobs" . -}}
{{- end }}

{{- define "evenface.checks.shutdown" -}}
{{- $s := .Values.shutdown -}}
{{- if lt (int $s.drainGraceSeconds) (int .Values.server.callDeadlineSeconds) -}}
{{- fail (printf "shutdown.drainGraceSeconds is %v, less than server.callDeadlineSeconds %v: calls that were admitted would be cut off" $s.drainGraceSeconds .Values.server.callDeadlineSeconds) -}}
{{- end -}}
{{- $needed := include "evenface.neededGrace" . -}}
{{- if lt (int (include "evenface.terminationGrace" .)) (int $needed) -}}
{{- fail (printf "shutdown.terminationGracePeriodSeconds is %v, less than %v: preStopSeconds %v, drainDelaySeconds %v, drainGraceSeconds %v and %s to close" $s.terminationGracePeriodSeconds $needed $s.preStopSeconds $s.drainDelaySeconds $s.drainGraceSeconds (include "evenface.closingSeconds" .)) -}}
{{- end -}}
{{- end }}

{{- define "evenface.checks.pods" -}}
{{- $v := .Values -}}
{{- $none := list "0" "0%" -}}
{{- if and (has (toString $v.rollout.maxSurge) $none) (has (toString $v.rollout.maxUnavailable) $none) -}}
{{- fail "rollout.maxSurge and rollout.maxUnavailable are both 0: no pod could ever be replaced" -}}
{{- end -}}
{{- if and (not $v.server.workers) (not $v.gpu.enabled) (not $v.resources.limits.cpu) -}}
{{- fail "server.workers is 0 and resources.limits.cpu is not set: there would be a worker for each core of the node; set one of the two" -}}
{{- end -}}
{{- $a := $v.autoscaling -}}
{{- if and (ne $a.mode "none") (gt (int $a.minReplicas) (int $a.maxReplicas)) -}}
{{- fail (printf "autoscaling.minReplicas is %v, more than autoscaling.maxReplicas %v" $a.minReplicas $a.maxReplicas) -}}
{{- end -}}
{{- if and (eq $a.mode "keda") (not $a.prometheusAddress) -}}
{{- fail "autoscaling.mode is keda, but autoscaling.prometheusAddress is empty: KEDA asks Prometheus for the queue wait" -}}
{{- end -}}
{{- if and (eq $a.mode "hpa") (not $a.cpuPercent) (not $a.podsMetric) -}}
{{- fail "autoscaling.mode is hpa, but autoscaling.cpuPercent is 0 and autoscaling.podsMetric is empty: there is nothing to scale by" -}}
{{- end -}}
{{- if and $v.monitoring.serviceMonitor $v.monitoring.podMonitor -}}
{{- fail "monitoring.serviceMonitor and monitoring.podMonitor are both true: all metrics would be there twice" -}}
{{- end -}}
{{- if and $v.monitoring.serviceMonitor (ne $v.service.type "ClusterIP") -}}
{{- fail (printf "monitoring.serviceMonitor is true, but service.type is %s, and such a Service does not show metrics: set monitoring.podMonitor" $v.service.type) -}}
{{- end -}}
{{- if and $v.tracing.enabled (not $v.tracing.endpoint) -}}
{{- fail "tracing.enabled is true, but tracing.endpoint is empty: name the collector" -}}
{{- end -}}
{{- if and $v.tracing.enabled $v.networkPolicy.enabled (not $v.networkPolicy.egress) -}}
{{- fail "tracing.enabled is true, but networkPolicy.egress is empty: no span could reach tracing.endpoint" -}}
{{- end -}}
{{- $ports := list (int $v.ports.grpc) (int $v.ports.metrics) (int $v.ports.health) -}}
{{- with $v.server.adminPort -}}{{- $ports = append $ports (int .) -}}{{- end -}}
{{- if ne (len $ports) (len (uniq $ports)) -}}
{{- fail (printf "ports.grpc, ports.metrics, ports.health and server.adminPort must differ, and are %v" $ports) -}}
{{- end -}}
{{- end }}

{{- define "evenface.checks.model" -}}
{{- $m := .Values.model -}}
{{- $needs := dict "claim" $m.claim.name "imageVolume" $m.imageVolume.reference "download" $m.download.bundles -}}
{{- $names := dict "claim" "model.claim.name" "imageVolume" "model.imageVolume.reference" "download" "model.download.bundles" -}}
{{- range $source, $value := $needs -}}
{{- if and (eq $m.source $source) (not $value) -}}
{{- fail (printf "model.source is %s, but %s is empty" $source (get $names $source)) -}}
{{- end -}}
{{- end -}}
{{- if ne (not $m.download.s3Region) (not $m.download.s3Secret) -}}
{{- fail "model.download.s3Region and model.download.s3Secret belong together; only one is set" -}}
{{- end -}}
{{- if and (eq $m.source "download") .Values.networkPolicy.enabled (not .Values.networkPolicy.egress) -}}
{{- fail "model.source is download, but networkPolicy.egress is empty: the init container could reach nothing" -}}
{{- end -}}
{{- end }}

{{- define "evenface.checks.access" -}}
{{- $t := .Values.tls -}}
{{- if and $t.enabled (eq (not $t.secretName) (not $t.certManager.enabled)) -}}
{{- fail "tls.enabled needs one of tls.secretName and tls.certManager.enabled" -}}
{{- end -}}
{{- if and $t.certManager.enabled (not $t.certManager.issuer.name) -}}
{{- fail "tls.certManager.enabled is true, but tls.certManager.issuer.name is empty" -}}
{{- end -}}
{{- if and $t.clientCA.secretName (not $t.enabled) -}}
{{- fail "tls.clientCA.secretName is set, but tls.enabled is false" -}}
{{- end -}}
{{- if and $t.clientCA.allowedSubjects (not $t.clientCA.secretName) -}}
{{- fail "tls.clientCA.allowedSubjects is set, but tls.clientCA.secretName is empty: nobody would be asked for a certificate" -}}
{{- end -}}
{{- $g := .Values.gateway -}}
{{- if and $g.enabled (not $g.parentRefs) -}}
{{- fail "gateway.enabled is true, but gateway.parentRefs is empty: name the Gateway" -}}
{{- end -}}
{{- if and $g.enabled $t.enabled (not $g.backendTLS.hostname) -}}
{{- fail "gateway.enabled and tls.enabled are true, but gateway.backendTLS.hostname is empty: the gateway would speak plain text to TLS" -}}
{{- end -}}
{{- if and $g.enabled $t.clientCA.secretName -}}
{{- fail "gateway.enabled is true and tls.clientCA.secretName is set: a gateway has no client certificate to show" -}}
{{- end -}}
{{- $test := .Values.test -}}
{{- if and $test.enabled $t.clientCA.secretName (not $test.clientSecretName) -}}
{{- fail "tls.clientCA.secretName is set, but test.clientSecretName is empty: helm test could not call (test.enabled: false leaves it out)" -}}
{{- end -}}
{{- if and $test.enabled .Values.tokens.secretName (not $test.tokenSecretName) -}}
{{- fail "tokens.secretName is set, but test.tokenSecretName is empty: helm test could not call (test.enabled: false leaves it out)" -}}
{{- end -}}
{{- if and $test.enabled .Values.tokens.secretName (not $t.enabled) -}}
{{- fail "tokens.secretName is set, but tls.enabled is false: helm test sends no token in plain text (test.enabled: false leaves it out)" -}}
{{- end -}}
{{- end }}

{{- define "evenface.checks.jobs" -}}
{{- if and .Values.training.enabled (not .Values.training.runsClaim) -}}
{{- fail "training.enabled is true, but training.runsClaim is empty: nothing would be left of the run" -}}
{{- end -}}
{{- if and .Values.training.enabled (not (hasPrefix "/runs/" .Values.training.run)) -}}
{{- fail (printf "training.run is %s, which is not in /runs, where training.runsClaim is" .Values.training.run) -}}
{{- end -}}
{{- end }}
