//! What nodes write into a realm's log, as bytes: nothing panics, and what is read is written and read
//! again.

use sansse::cluster::Batch;

pub fn run(bytes: &[u8]) {
    let Ok((node, records)) = Batch::decode(bytes) else { return };
    assert!(records.len() < bytes.len());
    let readable: Vec<_> = records.into_iter().flatten().collect();
    let mut batch = Batch::new(node);
    for record in &readable {
        batch.push(record).unwrap();
    }
    assert_eq!(batch.count() as usize, readable.len());
    let (again, read) = Batch::decode(&batch.payload()).unwrap();
    assert_eq!(again, node);
    assert_eq!(read, readable.into_iter().map(Ok).collect::<Vec<_>>());
}
