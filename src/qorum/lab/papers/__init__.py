"""Published experiments, measured again with qorum beside the rules of their papers. One file each."""
