"""Whether other ways of computing the same networks get more scans done."""
