# Trains, or goes on with what there is in $RUN. Arguments: CONFIG, and --set with its values.
if [ "$PROCESSES" -gt 1 ]; then
  train="torchrun --nproc-per-node $PROCESSES --no-python -- evenface-train"
else
  train=evenface-train
fi
if [ -f "$RUN/checkpoints/last.safetensors" ]; then
  exec $train --resume "$RUN"
fi
exec $train "$@" --run "$RUN"
